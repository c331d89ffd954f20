package verify_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"conclave/node/verify"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"
)

var start = pkitest.Start

// keeper remembers records as a state file does.
type keeper map[string][]byte

func (k keeper) keep(list ...verify.Record) {
	for _, r := range list {
		k[r.Key] = r.Value
	}
}

func trust(list []verify.Verification) (all []verify.Trust) {
	for _, v := range list {
		all = append(all, v.Trust)
	}
	return all
}

func TestCodesAreListedAndRemembered(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B", "C")
	disk := keeper{"route/x": []byte("another kind of record")}
	b := verify.New(g.Group, g.Member("A").Cert, disk)
	keep, changed := b.Look(g.Roster, start)
	disk.keep(keep...)
	if len(keep) != 3 || len(changed) != 0 {
		t.Fatalf("at first: %d records, changes %v", len(keep), changed)
	}
	if keep, _ = b.Look(g.Roster, start.Add(time.Hour)); len(keep) != 0 {
		t.Errorf("nothing is new, and %d records are to be kept", len(keep))
	}
	list := b.List(g.Roster)
	if len(list) != 3 || list[0].Role != "" || list[0].Code != pki.GroupCode(g.Group) || list[1].Role != "B" || list[2].Role != "C" {
		t.Fatalf("the list is %+v", list)
	}
	other := verify.New(g.Group, g.Member("B").Cert, nil)
	if other.List(g.Roster)[1].Code != list[1].Code {
		t.Error("the two of a pair compute different codes")
	}
	record, err := b.Set(g.Roster, "B", list[1].Code, true, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	disk.keep(record)
	again := verify.New(g.Group, g.Member("A").Cert, maps.Clone(disk)) // after a restart
	got := again.List(g.Roster)
	if want := []verify.Trust{verify.Unverified, verify.Verified, verify.Unverified}; !slices.Equal(trust(got), want) {
		t.Errorf("after a restart: %v, want %v", trust(got), want)
	}
	if !got[1].Since.Equal(start.Add(time.Minute)) || !got[2].Since.Equal(start) {
		t.Errorf("since %v and %v", got[1].Since, got[2].Since)
	}
	if _, err := again.Set(g.Roster, "B", list[1].Code, false, start); err != nil || again.List(g.Roster)[1].Trust != verify.Unverified {
		t.Errorf("taken back: %v, %v", again.List(g.Roster)[1].Trust, err)
	}
}

func TestOnlyThePresentCode(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	b := verify.New(g.Group, g.Member("A").Cert, nil)
	b.Look(g.Roster, start)
	for _, role := range []wire.Role{"", "B", "D"} {
		if _, err := b.Set(g.Roster, role, "11111 22222", true, start); !errors.Is(err, verify.ErrCodeChanged) {
			t.Errorf("%q: %v", role, err)
		}
	}
	if want := []verify.Trust{verify.Unverified, verify.Unverified}; !slices.Equal(trust(b.List(g.Roster)), want) {
		t.Errorf("%v, want %v", trust(b.List(g.Roster)), want)
	}
}

// TestChangeStaysUntilCompared has B get new keys, twice, with restarts in between, before anybody looks.
func TestChangeStaysUntilCompared(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	disk := keeper{}
	look := func(r *pki.Roster) []verify.Change {
		t.Helper()
		keep, changed := verify.New(g.Group, g.Member("A").Cert, disk).Look(r, start)
		disk.keep(keep...)
		return changed
	}
	look(g.Roster)
	first := verify.New(g.Group, g.Member("A").Cert, disk).List(g.Roster)[1].Code
	record, err := verify.New(g.Group, g.Member("A").Cert, disk).Set(g.Roster, "B", first, true, start)
	if err != nil {
		t.Fatal(err)
	}
	disk.keep(record)
	for range 2 {
		renewed := g.AddMember("B") // the same role, new keys
		g.Reissue(func(d *authority.Draft) { d.SetMember(renewed.Cert) })
		for range 2 {
			if changed := look(g.Roster); len(changed) != 1 || changed[0] != (verify.Change{Role: "B", WasVerified: true}) {
				t.Fatalf("changes: %+v", changed)
			}
		}
	}
	b := verify.New(g.Group, g.Member("A").Cert, disk)
	v := b.List(g.Roster)[1]
	if v.Trust != verify.Changed || v.Before != first || !v.WasVerified || v.Code == first {
		t.Errorf("B's code: %+v", v)
	}
	if _, err := b.Set(g.Roster, "B", first, true, start); !errors.Is(err, verify.ErrCodeChanged) {
		t.Errorf("the old code is found right: %v", err)
	}
	if record, err = b.Set(g.Roster, "B", v.Code, true, start); err != nil {
		t.Fatal(err)
	}
	disk.keep(record)
	if changed := look(g.Roster); len(changed) != 0 {
		t.Errorf("after it was compared: %+v", changed)
	}
}
