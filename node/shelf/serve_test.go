package shelf

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/batch"
	"conclave/overlay/overlaytest"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
)

// serve serves a shelf as A, and returns where.
func serve(t *testing.T, g *pkitest.Group, s *Shelf) peer.AddrInfo {
	t.Helper()
	h := overlaytest.NewHost(t, g.Member("A").Identity)
	roster := g.Roster
	server := NewServer(ServerConfig{
		Shelf: s, Self: g.Member("A").Identity.Public().(ed25519.PublicKey), Roster: func() *pki.Roster { return roster },
		TakeRoster: func(context.Context, []byte) error { return nil }, Log: slog.New(slog.DiscardHandler),
	})
	streams := overlay.HandleStream(h, overlay.BacklogProtocol, overlay.StreamLimits{
		Service: "test", Memory: wire.MaxSessionMessage, Deadline: Silence, Streams: Streams,
	}, server.Serve, slog.New(slog.DiscardHandler))
	t.Cleanup(streams.Close)
	return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
}

// TestAttackOutsiderAsksAMember has an outsider, and then a member, ask for what is on a member's shelf.
func TestAttackOutsiderAsksAMember(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	shelf := New(DefaultLimits)
	put(t, shelf, sealed(t, g.Member("A").Identity, 0, 0, 0, 0), true)
	at := serve(t, g, shelf)
	for name, who := range map[string]struct {
		key  ed25519.PrivateKey
		want bool
	}{"outsider": {pkitest.NewIdentity(t), false}, "member": {g.Member("B").Identity, true}} {
		h := overlaytest.NewHost(t, who.key)
		ctx, cancel := context.WithTimeout(t.Context(), overlaytest.Patience)
		defer cancel()
		if err := overlay.Connect(ctx, h, at); err != nil {
			t.Fatal(err)
		}
		s, err := overlay.OpenStream(ctx, h, at.ID, overlay.BacklogProtocol)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Now().Add(overlaytest.Patience))
		m, err := wire.ReadMessage(bufio.NewReader(s), wire.TypeHeads)
		if told := err == nil && len(m.(*wire.Heads).Heads) > 0; told != who.want {
			t.Errorf("the %s was told: %v (%v)", name, told, err)
		}
	}
}

// listener is a Sink that keeps what it is told.
type listener struct {
	up      chan *Visit
	down    chan *Visit
	heads   chan []wire.Head
	fetched chan []wire.Batch
}

func (l *listener) VisitUp(_ context.Context, v *Visit) { l.up <- v }
func (l *listener) VisitDown(v *Visit)                  { l.down <- v }
func (l *listener) Heads(_ context.Context, _ *Visit, heads []wire.Head, _ bool) {
	l.heads <- heads
}

func (l *listener) Fetched(_ context.Context, _ *Visit, _ uint64, batches []wire.Batch, _ bool) {
	l.fetched <- batches
}

func receive[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(overlaytest.Patience):
		t.Fatalf("%s never came", what)
	}
	return v
}

// TestVisit has B keep a stream to A, which is near: B hears what A has, and gets what it asks for, but for what nobody of
// the group signed.
func TestVisit(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	shelf := New(DefaultLimits)
	a := g.Member("A").Identity
	first := sealed(t, a, 0, 0, 0, 1)
	put(t, shelf, first, true)
	put(t, shelf, sealed(t, pkitest.NewIdentity(t), 1, 0, 0, 0), false)
	at := serve(t, g, shelf)
	h := overlaytest.NewHost(t, g.Member("B").Identity)
	h.Peerstore().AddAddrs(at.ID, at.Addrs, overlaytest.Patience)
	sink := &listener{make(chan *Visit, 9), make(chan *Visit, 9), make(chan []wire.Head, 9), make(chan []wire.Batch, 9)}
	roster := g.Roster
	visitor := NewVisitor(VisitorConfig{
		Host: h, Roster: func() *pki.Roster { return roster }, Log: slog.New(slog.DiscardHandler), Sink: sink,
		Verify: func(data []byte) (wire.Batch, bool) {
			b, err := batch.Verify("topic", data)
			if err != nil {
				return b, false
			}
			_, member := roster.MemberByIdentity(b.Sender)
			return b, member
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	visitor.Near(ctx, []peer.ID{at.ID})
	v := receive(t, "the stream", sink.up)
	if heads := receive(t, "what A has", sink.heads); len(heads) != 2 {
		t.Errorf("A has %d chains", len(heads))
	}
	for i, key := range []ed25519.PrivateKey{a, pkitest.NewIdentity(t)} {
		ask := fetch(key, 0, 0, 0, 9)
		if !v.Ask(&ask) {
			t.Fatal("there is no room for a request")
		}
		batches := receive(t, "the answer", sink.fetched)
		if i == 0 && (len(batches) != 1 || !bytes.Equal(batches[0].Items[0], first.Items[0])) || i == 1 && len(batches) != 0 {
			t.Errorf("answer %d has %d batches", i, len(batches))
		}
	}
	put(t, shelf, sealed(t, a, 0, 0, 2, 2), true)
	if heads := receive(t, "that A has more", sink.heads); len(heads) != 1 || heads[0].High != 2 {
		t.Errorf("A has now %+v", heads)
	}
	visitor.Near(ctx, nil)
	if gone := receive(t, "the end", sink.down); gone != v {
		t.Error("another stream ended")
	}
	visitor.Close()
}
