package upgrade

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"conclave/node"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
)

// frozen is one home, and what its members had.
type frozen struct {
	file        string
	commit      string // of the program that made it
	at          time.Time
	fingerprint string // of the key that A and B had agreed on
}

var homes = []frozen{
	{"home-2026-12-01.tar.gz", "6b15c24", time.Date(2026, 12, 1, 7, 52, 42, 0, time.UTC), "27f924bf7f62905a"},
}

// clock goes on from the day on which the home was frozen.
func (f frozen) clock() func() time.Time {
	began := time.Now()
	return func() time.Time { return f.at.Add(time.Since(began)) }
}

// unpack returns the folder of the group in a copy of the home.
func (f frozen) unpack(t *testing.T) keystore.Dir {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", f.file))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	files := 0
	for archive := tar.NewReader(zip); ; files++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(home, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var data []byte
			if data, err = io.ReadAll(archive); err == nil {
				err = os.WriteFile(path, data, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 20 {
		t.Fatalf("the home has %d files and folders only", files)
	}
	dir, err := keystore.FindGroup(filepath.Join(home, "h"), "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// relay runs the home's relay node and returns its addresses.
func (f frozen) relay(t *testing.T, dir keystore.Dir) []ma.Multiaddr {
	t.Helper()
	id, err := dir.OpenRelay()
	if err != nil {
		t.Fatal(err)
	}
	n, err := relaynode.New(relaynode.Config{
		Group: id.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: f.roster(t, dir), Now: f.clock(),
		Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, StatePath: filepath.Join(id.Dir, "state.db"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n.Addrs()
}

func (f frozen) roster(t *testing.T, dir keystore.Dir) *pki.Roster {
	t.Helper()
	g, err := dir.Group()
	if err != nil {
		t.Fatal(err)
	}
	r, err := dir.RosterFile(g, f.clock()).Load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// member is one of the home's members, running.
type member struct {
	t    *testing.T
	role wire.Role

	mu     sync.Mutex
	events []node.Event
	news   chan struct{} // holds one
}

func (f frozen) member(t *testing.T, dir keystore.Dir, role wire.Role, relays []ma.Multiaddr) *member {
	t.Helper()
	id, err := dir.OpenMember(role)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{
		Group: id.Group, Certificate: id.Cert.DER, Identity: id.Identity, RSA: id.RSA, Roster: f.roster(t, dir), Now: f.clock(),
		StatePath: filepath.Join(id.Dir, "state.db"), Relays: relays, DialOnly: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, role: role, news: make(chan struct{}, 1)}
	events := n.Subscribe()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		for e, ok := events.Next(context.Background()); ok; e, ok = events.Next(context.Background()) {
			m.mu.Lock()
			m.events = append(m.events, e)
			m.mu.Unlock()
			select {
			case m.news <- struct{}{}:
			default:
			}
		}
	})
	group.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := n.Close(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		group.Wait()
	})
	return m
}

// until waits until the events are as they should be.
func (m *member) until(what string, done func([]node.Event) bool) {
	m.t.Helper()
	limit := time.After(2 * time.Minute) // a backstop, far above what any machine needs
	for {
		m.mu.Lock()
		ok := done(m.events)
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-m.news:
		case <-limit:
			m.t.Fatalf("%s waits for %s in vain: it has %q", m.role, what, m.texts())
		}
	}
}

// texts returns what the member was shown, sorted.
func (m *member) texts() (texts []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return textsIn(m.events)
}

func textsIn(events []node.Event) (texts []string) {
	for _, e := range events {
		if e, ok := e.(node.Message); ok {
			texts = append(texts, e.Text)
		}
	}
	slices.Sort(texts)
	return texts
}

// session reports whether there is a session with that key, found in the state file (resumed) or agreed on by this run.
func session(events []node.Event, fingerprint string, resumed bool) bool {
	return slices.ContainsFunc(events, func(e node.Event) bool {
		s, ok := e.(node.SessionKey)
		return ok && s.Fingerprint == fingerprint && s.Resumed == resumed
	})
}

// TestFrozenHomesGoOn runs the homes of earlier programs with today's.
func TestFrozenHomesGoOn(t *testing.T) {
	t.Parallel()
	for _, f := range homes {
		t.Run(f.commit, func(t *testing.T) {
			t.Parallel()
			dir := f.unpack(t)
			relays := f.relay(t, dir)
			a, b, c := f.member(t, dir, "A", relays), f.member(t, dir, "B", relays), f.member(t, dir, "C", relays)
			for _, m := range []*member{a, b} {
				m.until("its session", func(e []node.Event) bool { return session(e, f.fingerprint, true) })
			}
			c.until("the key that was agreed on without it", func(e []node.Event) bool { return session(e, f.fingerprint, false) })
			a.until("its outbox to reach somebody", func(events []node.Event) bool {
				queued, delivered := false, false
				for _, e := range events {
					if s, ok := e.(node.Sent); ok {
						queued = queued || s.State == node.Queued && s.Text == "A says three, to nobody yet"
						delivered = delivered || s.State == node.Delivered && len(s.By) == 2
					}
				}
				return queued && delivered
			})
			all := []string{"A says one", "A says three, to nobody yet", "A says two", "B says one", "B says two"}
			c.until("all that was said", func(e []node.Event) bool { return slices.Equal(textsIn(e), all) })
			b.until("what is new", func(e []node.Event) bool { return len(textsIn(e)) > 0 })
			if got := b.texts(); !slices.Equal(got, all[1:2]) {
				t.Errorf("B, which had seen the rest, was shown %q", got)
			}
			if got := a.texts(); len(got) != 0 {
				t.Errorf("A, which had seen everything, was shown %q", got)
			}
		})
	}
}
