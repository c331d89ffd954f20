package relaynode

import (
	"context"
	"testing"

	"conclave/overlay"
	"conclave/pki/pkitest"
)

// An outsider reserves a slot, so that others could be lured to it.
func TestAttackOutsiderReserves(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n, _, _, _, _ := attacked(t, g)
	h := newHost(t, pkitest.NewIdentity(t))
	connect(t, h, n)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := overlay.Reserve(ctx, h, n.Peer())
	if err == nil {
		t.Fatal("the attack works")
	}
	if cause, _ := overlay.CauseOf(err); cause != overlay.CauseDenied {
		t.Errorf("refused for another reason: %v", err)
	}
}

// An outsider connects to a member through the relay node.
func TestAttackOutsiderReachesMember(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n, a, b, _, _ := attacked(t, g)
	circuit(t, n, b.host, a.host) // A is there for those who may
	h := newHost(t, pkitest.NewIdentity(t))
	connect(t, h, n)
	if tryCircuit(n, h, a.host.ID()) == nil {
		t.Error("the attack works")
	}
}

// A member is to be lured to an outsider: the relay node connects nobody to a peer outside the roster, slot or no slot.
func TestAttackMemberIsLuredToOutsider(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n, a, _, _, _ := attacked(t, g)
	h := newHost(t, pkitest.NewIdentity(t))
	connect(t, h, n)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = overlay.Reserve(ctx, h, n.Peer()) // refused
	if tryCircuit(n, a.host, h.ID()) == nil {
		t.Error("the attack works")
	}
	if n.door.ACL().AllowConnect(a.host.ID(), nil, h.ID()) {
		t.Error("the ACL would connect a member to an outsider with a slot")
	}
}
