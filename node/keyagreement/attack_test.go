package keyagreement

import (
	"slices"
	"testing"
	"time"

	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// TestSplitByCorruptMember runs the attack that a ProVerif model found on confirmation by MAC alone: a corrupt member
// announces one share to A and another to B, and the relay node keeps A and B apart. The corrupt member holds the key
// that A derived, so it can make the MAC that A expects of B. With signed confirmations A never takes B for confirmed.
// Where the MAC alone counts, as in the mutant of control-signed, it does, though B holds another key.
func TestSplitByCorruptMember(t *testing.T) {
	t.Parallel()
	if splitAttack(t) {
		t.Error("A takes B for confirmed")
	}
}

// splitAttack tells whether A takes B for confirmed under a transcript that B never had.
func splitAttack(t *testing.T) bool {
	w := newWorld(42)
	w.add(3, 3)
	a, b, x := w.nodes[0], w.nodes[1], w.nodes[2]
	x.cheat = mute
	for _, n := range w.nodes {
		n.roster, n.linked = w.roster, true
		n.boot()
	}
	// All three ask, A opens, A and B contribute. From then on the relay node passes on only what C wants.
	w.run(time.Second, nil)
	w.events = nil
	var id wire.EpochID
	for id = range w.oracle.openings {
	}
	ea, eb := a.m.byID[id], b.m.byID[id]
	if len(w.oracle.openings) != 1 || !ea.parts[1].have || !eb.parts[0].have {
		t.Fatal("A and B did not contribute")
	}
	i := ea.contributor("C")
	announce := func(fill byte) (share.Share, []byte) {
		s := share.Of([64]byte{fill})
		ann := wire.Announcement{
			Group: w.group, RosterVersion: 1, Epoch: id, Role: "C", Instance: ea.opening.Contributors[i].Instance,
			Commitment: share.Commitment(id, "C", s),
		}
		return s, x.signAs(wire.SignedAnnouncement, ann.Marshal())
	}
	give := func(to *node, s share.Share, raw []byte) {
		p := event.Parcel{Epoch: id, Of: "C", To: to.role}
		wrap := event.Wrap{Parcel: p, Plaintext: s, Label: shareLabel(w.group, w.roster.Hash, p), Opening: ea.raw, Announcement: raw, Group: w.group}
		sign := func(m []byte) []byte { return simSign(x.member.Identity, m) }
		for _, o := range to.m.Step(to.clock(), event.Envelope{Raw: envelope.Around(x.member.Identity, sign, simWrap(to.role, wrap.Label, s), wrap)}) {
			if u, ok := o.(event.Unwrap); ok {
				to.m.Step(to.clock(), simUnwrap(to.role, u))
			}
		}
	}
	share1, raw1 := announce(1)
	share2, raw2 := announce(2)
	give(a, share1, raw1)
	give(b, share2, raw2)
	if ea.session == nil || eb.session == nil || ea.session.transcript == eb.session.transcript {
		t.Fatal("the attack did not split A and B")
	}
	// C holds A's key, so it can make the MAC that B would make under A's transcript. B's signature it cannot make.
	c := wire.Confirmation{
		Group: w.group, Epoch: id, Role: "B", Transcript: ea.session.transcript,
		MAC: share.ConfirmMAC(ea.session.confirm, ea.session.transcript, "B"),
	}
	for j := range ea.parts {
		c.Announcements = append(c.Announcements, ea.parts[j].hash)
	}
	out := a.m.Step(a.clock(), event.Control{Raw: x.signAs(wire.SignedConfirmation, c.Marshal())})
	return slices.ContainsFunc(out, func(o event.Output) bool { c, ok := o.(event.Confirmed); return ok && c.Role == "B" })
}
