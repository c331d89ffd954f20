package session

import (
	"context"
	"errors"
	"testing"

	"conclave/overlay/wire"
)

// peering makes both sides' sessions those between relay nodes.
func peering(sides ...*side) {
	for _, s := range sides {
		s.cfg.Peering = true
	}
}

func TestPeering(t *testing.T) {
	w := newWorld(t)
	one, two := w.relay(0), w.relay(1)
	peering(one, two)
	a, b := w.initiate(one, two, w.serve(two))
	if a.err != nil || b.err != nil {
		t.Fatalf("handshake: %v, %v", a.err, b.err)
	}
	// Either side may say everything that a relay node may say to another.
	if err := a.conn.Send(context.Background(), &wire.Presence{}); err != nil {
		t.Fatal(err)
	}
	if m, err := b.conn.Receive(); err != nil || m.Type() != wire.TypePresence {
		t.Fatalf("%v, %v", m, err)
	}
	if err := b.conn.Send(context.Background(), &wire.Presence{}); err != nil {
		t.Fatal(err)
	}
	if m, err := a.conn.Receive(); err != nil || m.Type() != wire.TypePresence {
		t.Fatalf("%v, %v", m, err)
	}
}

// TestPeeringRefusesRequestsOfMembers: what a member may ask for ends a session between relay nodes.
func TestPeeringRefusesRequestsOfMembers(t *testing.T) {
	for _, m := range []wire.Message{
		&wire.Deposit{Seq: 1, Items: []wire.MailItem{{To: newWorld(t).Member("A").Cert.Peer, Kind: wire.KindShare, Payload: []byte("x")}}},
		&wire.Store{Batches: [][]byte{[]byte("x")}},
		&wire.DeliveryAck{IDs: make([]wire.MailID, 1)},
	} {
		w := newWorld(t)
		one, two := w.relay(0), w.relay(1)
		peering(one, two)
		a, b := w.initiate(one, two, w.serve(two))
		if a.err != nil || b.err != nil {
			t.Fatalf("handshake: %v, %v", a.err, b.err)
		}
		if err := a.conn.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		if got, err := b.conn.Receive(); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%s: %v, %v", m.Type(), got, err)
		}
	}
}

// TestMemberIsNoRelayNode: a member that opens a session between relay nodes is refused, and so is a relay node that
// opens a member's.
func TestMemberIsNoRelayNode(t *testing.T) {
	for name, open := range map[string]func(*world) *side{
		"member as relay node": func(w *world) *side { s := w.member("A"); peering(s); return s },
		"relay node as member": func(w *world) *side { return w.relay(1) },
	} {
		w := newWorld(t)
		from, to := open(w), w.relay(0)
		to.cfg.Peering = from.cfg.Peering
		if a, b := w.initiate(from, to, w.serve(to)); !errors.Is(b.err, ErrCertificate) {
			t.Errorf("%s: %v, %v", name, a.err, b.err)
		}
	}
}

// TestPeeringLabels: a hello to a relay node as such is none of a member's session, and the other way round.
func TestPeeringLabels(t *testing.T) {
	for _, asMember := range []bool{false, true} {
		w := newWorld(t)
		from, to := w.relay(0), w.relay(1)
		from.cfg.Peering, to.cfg.Peering = asMember, !asMember
		a, b := w.initiate(from, to, w.serve(to))
		if a.err == nil || !errors.Is(b.err, ErrSignature) {
			t.Errorf("%v, %v", a.err, b.err)
		}
	}
}
