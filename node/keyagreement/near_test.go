package keyagreement

import (
	"slices"
	"testing"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// TestArrivalWithoutRelayNode has somebody come and go where there is no relay node: whoever needs a key asks at each
// arrival, not when its last, long pause is over, and what lies in a mailbox out of reach is offered again.
func TestArrivalWithoutRelayNode(t *testing.T) {
	t.Parallel()
	p, r := newParty(t, testKeys(t, 1), "A", "B", "C")
	p.start("A", r)
	p.start("B", r)
	p.run(time.Minute)
	p.agree("A", "B")
	var stored []event.Parcel
	for _, o := range p.log["A"] {
		if w, ok := o.(event.Wrap); ok && w.Parcel.To == "C" && !slices.Contains(stored, w.Parcel) {
			stored = append(stored, w.Parcel)
			p.step("A", event.MailStored{Parcel: w.Parcel})
		}
	}
	p.step("A", event.RelayDown{})
	if len(stored) == 0 {
		t.Fatal("A has offered C nothing")
	}
	wraps := func() (n int) {
		for _, o := range p.log["A"] {
			if w, ok := o.(event.Wrap); ok && w.Parcel.To == "C" {
				n++
			}
		}
		return n
	}
	before := wraps()
	p.step("A", event.Online{Role: "C"})
	if wraps() == before {
		t.Error("A does not offer C what lies in a mailbox that neither reaches")
	}

	m, out, err := New(p.people["C"].config(r), p.now)
	if err != nil {
		t.Fatal(err)
	}
	asks := func(out []event.Output) bool {
		return slices.ContainsFunc(out, func(o event.Output) bool { _, ok := o.(event.Broadcast); return ok })
	}
	if asks(out) {
		t.Fatal("C asks though nobody can hear")
	}
	for i := range 8 {
		p.now = p.now.Add(10 * time.Millisecond)
		if !asks(m.Step(p.now, event.Online{Role: wire.Role("A")})) {
			t.Fatalf("C does not ask at arrival %d", i)
		}
		m.Step(p.now, event.Offline{Role: wire.Role("A")})
	}
}
