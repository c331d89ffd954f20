package node

import (
	"context"
	"testing"
	"time"

	"conclave/node/keyagreement"
	"conclave/overlay/wire"
)

// TestShareGoesBothWaysWhileThereIsNoCircuit hands over a share to a member that is present: without a connection to it
// the mailbox gets it at once and a circuit is begun a little later; with one the circuit alone carries it. What reached
// the mailbox already is not left there again when the circuit fails.
func TestShareGoesBothWaysWhileThereIsNoCircuit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.tune = func(cfg *Config) { cfg.Timing.CircuitLinger = time.Hour }
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	a.until("B is said to be there", func(events []Event) bool {
		for _, p := range all[Peer](events) {
			if p.Role == "B" && p.Online {
				return true
			}
		}
		return false
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	to := w.group.Member("B").Cert.Peer
	hand := func(ready func(e *engine) bool) (mailed, carried, begun bool) {
		for done := false; !done; {
			err := a.run.node.call(ctx, func(e *engine) {
				if done = ready(e); !done {
					return
				}
				e.post.mail = nil
				e.post.wrapping++
				e.post.wrapped(keyagreement.Parcel{To: "B"}, to, []byte("not an envelope"), nil)
				way := e.post.circuits.open[to]
				mailed, carried, begun = len(e.post.mail) == 1, way != nil && (way.busy || len(way.waiting) == 1), way != nil && way.busy
				e.post.mail = nil // it would be refused
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return mailed, carried, begun
	}
	idle := func(e *engine) bool {
		way := e.post.circuits.open[to]
		return e.members.online["B"] && (way == nil || !way.busy)
	}
	mailed, carried, begun := hand(func(e *engine) bool {
		if !idle(e) {
			return false
		}
		delete(e.post.circuits.open, to)
		_ = e.n.host.Network().ClosePeer(to)
		return !e.n.connected(to)
	})
	if !mailed || !carried || begun {
		t.Errorf("without a connection: mailbox %v, circuit %v, begun already %v; want both, the mailbox first", mailed, carried, begun)
	}
	mailed, _, begun = hand(func(e *engine) bool { return idle(e) && e.n.connected(to) })
	if mailed || !begun {
		t.Errorf("with a connection: mailbox %v, circuit %v; want the circuit alone", mailed, begun)
	}

	p := &post{}
	p.remail([]letter{{mailed: true}, {}})
	if len(p.mail) != 1 || p.mail[0].mailed {
		t.Errorf("after a failed circuit %v goes into the mailbox", p.mail)
	}
}
