package pki_test

import (
	"errors"
	"sync"
	"testing"

	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"
)

// disk is a RosterStore that remembers what was saved, or fails.
type disk struct {
	saved  []*pki.Roster
	err    error
	before func() // called by each Save; may be nil
}

func (d *disk) Save(r *pki.Roster) error {
	if d.before != nil {
		d.before()
	}
	if d.err == nil {
		d.saved = append(d.saved, r)
	}
	return d.err
}

// versions returns three rosters of one group, one after the other, and a rival of the second.
func versions(t *testing.T) (g *pkitest.Group, list [3]*pki.Roster, rival *pki.Roster) {
	t.Helper()
	g = pkitest.NewGroup(t, "A", "B")
	list[0] = g.Roster
	list[1] = g.Reissue(nil)
	list[2] = g.Reissue(nil)
	rival, err := g.Authority.SignVersion(&authority.Draft{Members: []*pki.Certificate{g.Member("A").Cert}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	return g, list, rival
}

func TestMembershipOnlyGrows(t *testing.T) {
	t.Parallel()
	g, list, rival := versions(t)
	stranger := pkitest.NewGroup(t, "A")
	broken := append([]byte(nil), list[2].Envelope...)
	broken[len(broken)/2] ^= 1
	d := &disk{}
	m := pki.NewMembership(g.Group, list[0], d)
	for _, c := range []struct {
		what     string
		envelope []byte
		version  uint64 // of what was offered; 0: none
		replaced uint64 // the version that was replaced; 0: none
		want     error
		now      uint64 // the version in force afterwards
	}{
		{"the one in force", list[0].Envelope, 1, 0, nil, 1},
		{"a newer one", list[1].Envelope, 2, 1, nil, 2},
		{"the same again", list[1].Envelope, 2, 0, nil, 2},
		{"an older one", list[0].Envelope, 1, 0, pki.ErrRosterOlder, 2},
		{"a rival", rival.Envelope, 2, 0, pki.ErrRosterConflict, 2},
		{"another group's", stranger.Reissue(nil).Envelope, 0, 0, pki.ErrRosterSignature, 2},
		{"garbage", []byte("garbage"), 0, 0, pki.ErrRoster, 2},
		{"nothing", nil, 0, 0, pki.ErrRoster, 2},
		{"the next", list[2].Envelope, 3, 2, nil, 3},
	} {
		offered, replaced, err := m.Take(c.envelope, vectorNow)
		if versionOf(offered) != c.version || versionOf(replaced) != c.replaced || !errors.Is(err, c.want) {
			t.Errorf("%s: offered %d, replaced %d, %v", c.what, versionOf(offered), versionOf(replaced), err)
		}
		if v := m.Load().Version; v != c.now {
			t.Errorf("%s: version %d is in force, want %d", c.what, v, c.now)
		}
	}
	if _, _, err := m.Take(broken, vectorNow); err == nil || m.Load().Version != 3 {
		t.Errorf("a broken one: %v, version %d", err, m.Load().Version)
	}
	if len(d.saved) != 2 || d.saved[0].Version != 2 || d.saved[1].Version != 3 {
		t.Errorf("%d rosters were saved", len(d.saved))
	}
}

func versionOf(r *pki.Roster) uint64 {
	if r == nil {
		return 0
	}
	return r.Version
}

func TestRosterIsOnDiskBeforeItIsInForce(t *testing.T) {
	t.Parallel()
	g, list, _ := versions(t)
	d := &disk{}
	m := pki.NewMembership(g.Group, list[0], d)
	d.before = func() {
		if v := m.Load().Version; v != 1 {
			t.Errorf("version %d is in force while it is written", v)
		}
	}
	if _, _, err := m.Take(list[1].Envelope, vectorNow); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	d.err, d.before = full, nil
	offered, replaced, err := m.Take(list[2].Envelope, vectorNow)
	if !errors.Is(err, full) || versionOf(offered) != 3 || replaced != nil || m.Load().Version != 2 {
		t.Errorf("offered %d, replaced %d, %v, in force %d", versionOf(offered), versionOf(replaced), err, m.Load().Version)
	}
	d.err = nil // it can be taken later
	if _, replaced, err := m.Take(list[2].Envelope, vectorNow); err != nil || versionOf(replaced) != 2 {
		t.Errorf("again: replaced %d, %v", versionOf(replaced), err)
	}
}

func TestRosterFromTheFutureIsNotTaken(t *testing.T) {
	t.Parallel()
	g, list, _ := versions(t)
	m := pki.NewMembership(g.Group, list[0], nil)
	if _, _, err := m.Take(list[1].Envelope, list[1].Issued.AddDate(0, 0, -2)); !errors.Is(err, pki.ErrRosterFromFuture) {
		t.Errorf("got %v", err)
	}
	if _, replaced, err := m.Take(list[1].Envelope, list[1].Issued); err != nil || versionOf(replaced) != 1 {
		t.Errorf("without a store: replaced %d, %v", versionOf(replaced), err)
	}
}

// TestManyTakeRostersAtOnce: whatever comes in whatever order, each roster is replaced once and the newest stays.
func TestManyTakeRostersAtOnce(t *testing.T) {
	t.Parallel()
	g, list, rival := versions(t)
	d := &disk{}
	m := pki.NewMembership(g.Group, list[0], d)
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[uint64]int) // by the version that was replaced
	for range 8 {
		for _, r := range []*pki.Roster{list[0], rival, list[1], list[2]} {
			all.Go(func() {
				_, replaced, _ := m.Take(r.Envelope, vectorNow)
				mu.Lock()
				defer mu.Unlock()
				seen[versionOf(replaced)]++
			})
		}
	}
	all.Wait()
	if m.Load().Version != 3 || seen[1] != 1 || seen[2] > 1 || seen[3] != 0 {
		t.Errorf("version %d is in force, replaced were %v", m.Load().Version, seen)
	}
	if n := len(d.saved); n == 0 || d.saved[n-1] != m.Load() || n > 2 {
		t.Errorf("%d rosters were saved, the last is not the one in force", n)
	}
}
