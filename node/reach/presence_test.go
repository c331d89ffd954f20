package reach

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"conclave/overlay/overlaytest"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
)

// world is all that a Reach sees, and what it tells. Its owner is the test's goroutine, which calls turn.
type world struct {
	*Reach
	t     *testing.T
	ready bool
	told  []string
	todo  chan func()
}

func (w *world) Ready() bool               { return w.ready }
func (w *world) Carriers() []peer.AddrInfo { return nil }
func (w *world) Hold(peer.ID) bool         { return true }
func (w *world) LetGo(peer.ID)             {}
func (w *world) Present(r wire.Role, online bool) {
	w.told = append(w.told, fmt.Sprintf("%s %v", r, online))
}

func (w *world) Path(r wire.Role, online bool, way Way) {
	w.told = append(w.told, fmt.Sprintf("%s %v by %q", r, online, way.Path))
}

// tells compares what was told since the last call.
func (w *world) tells(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.told, want) {
		w.t.Errorf("told %q, want %q", w.told, want)
	}
	w.told = nil
}

// newWorld returns the Reach of A, running on a host of its own.
func newWorld(t *testing.T, g *pkitest.Group) *world {
	t.Helper()
	w := &world{t: t, todo: make(chan func(), 64)}
	roster := g.Roster
	self, _ := roster.Member("A")
	get := func() *pki.Roster { return roster }
	w.Reach = New(Config{
		Self: self, Roster: get, InForce: get, Relays: w, Circuits: w, Sink: w, Log: slog.New(slog.DiscardHandler),
		Timing: Timing{PunchAfter: time.Hour, PunchRetry: time.Hour, PunchRetryMax: time.Hour},
		Post: func(ctx context.Context, f func()) bool {
			select {
			case w.todo <- f:
				return true
			case <-ctx.Done():
				return false
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	w.Begin(ctx, overlaytest.NewHost(t, g.Member("A").Identity))
	ran := make(chan struct{})
	go func() { defer close(ran); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ran; w.Wait() })
	return w
}

func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	limit := time.After(overlaytest.Patience)
	for !done() {
		select {
		case f := <-w.todo:
			f()
		case <-limit:
			w.t.Fatalf("%s never came", what)
		}
	}
}

// TestPresence has relay nodes come and go and say who is there, rightly or not, and members be heard.
func TestPresence(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B", "C")
	w := newWorld(t, g)
	a, b, c := g.Member("A").Cert.Peer, g.Member("B").Cert.Peer, g.Member("C").Cert.Peer
	w.Hint("relay 1", []peer.ID{a, b, "a stranger"})
	w.tells() // it waits for the relay node to be ready
	w.ready = true
	w.RelayUp()
	w.tells(`B true by "relay"`, "B true", "C false")
	w.Hint("relay 2", []peer.ID{c})
	w.tells(`C true by "relay"`, "C true")
	if w.Online("A") || !w.Online("B") || w.Listens("B") {
		t.Error("A is there for itself, B is not, or counts as listening unheard")
	}
	w.Heard(g.Member("B").Identity.Public().(ed25519.PublicKey), true)
	if !w.Listens("B") {
		t.Error("B was heard over the topic and does not count as listening")
	}
	w.HintGone("relay 1")
	w.tells(`B false by ""`) // the key agreement does not hear of it yet: B was heard a moment ago
	if w.Deadline().IsZero() {
		t.Error("nobody looks at B again")
	}
	w.signs["B"].heard = time.Now().Add(-heardLately)
	w.lookDue = time.Now()
	w.Tick()
	w.tells("B false")
	if w.Listens("B") {
		t.Error("B has gone and listens")
	}
	w.Near([]peer.ID{b})
	w.tells(`B true by "relay"`, "B true")
	w.ready = false
	w.RelayDown()
	w.tells(`C false by ""`, "C false") // B is near: no relay node is needed for it
	w.Near(nil)
	w.tells(`B false by ""`, "B false")
	w.Removed("B")
	w.RelayDown()
	w.tells()
}

// TestPathFollowsConnections has another member connect and go.
func TestPathFollowsConnections(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	w := newWorld(t, g)
	b := overlaytest.NewHost(t, g.Member("B").Identity)
	m, _ := g.Roster.Member("B")
	w.Near([]peer.ID{b.ID()})
	if got := w.Way(m); got != (Way{ViaRelay, reasonUntried}) {
		t.Errorf("at first: %+v", got)
	}
	overlaytest.Connect(t, b, w.host)
	w.until("the direct path", func() bool { return w.Way(m).Path != ViaRelay && w.tries[b.ID()] != nil && w.tries[b.ID()].there })
	if err := b.Network().ClosePeer(w.host.ID()); err != nil {
		t.Fatal(err)
	}
	w.until("the path through a relay node", func() bool { return w.Way(m) == Way{ViaRelay, errGone.Error()} })
	if try := w.tries[b.ID()]; try.due.IsZero() {
		t.Error("nobody tries again")
	}
}
