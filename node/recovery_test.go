package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"conclave/overlay/wire"
)

// TestAnyStartOrder starts the three in every order, each as soon as the one before has been asked to.
func TestAnyStartOrder(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"A", "B", "C"}, {"C", "A", "B"}, {"B", "C", "A"}, {"C", "B", "A"}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "A", "B", "C")
			people := make(map[string]*person)
			for _, role := range order {
				people[role] = w.join(role)
			}
			agree(t, abc, people["A"], people["B"], people["C"])
			for _, from := range order {
				people[from].send("I am " + from)
			}
			for _, from := range order {
				for _, to := range order {
					if to != from {
						people[to].reads(wire.Role(from), "I am "+from)
					}
				}
			}
		})
	}
}

// TestLateMember has A and B chat before C comes: C reads what was sent in their epoch, then all three contribute.
func TestLateMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("before C came")
	b.send("so it was")
	a.state(id, Delivered)
	a.reads("B", "so it was")
	w.pass(time.Hour)
	links := a.links() + b.links()
	w.stopRelay() // what C needs is on the relay node's disk
	w.startRelay()
	a.linkBack()
	b.linkBack()
	if a.links()+b.links() == links {
		t.Fatal("the relay node did not go away: the test shows nothing")
	}
	c := w.join("C")
	c.reads("A", "before C came")
	c.reads("B", "so it was")
	agree(t, abc, a, b, c)
	c.send("I am here")
	a.reads("C", "I am here")
	b.reads("C", "I am here")
}

// TestAckOwed ends a member after it has shown a message and before it has acknowledged it: it does so when it is back.
func TestAckOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.disk = true
	a := w.join("A")
	w.tune = func(cfg *Config) { cfg.Timing.AckBase = time.Hour }
	b := w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("shown, not acknowledged")
	b.reads("A", "shown, not acknowledged")
	b.leave()
	a.state(id, Relayed)
	w.tune = nil
	w.join("B")
	a.state(id, Delivered)
}

// TestSentInTheLastMoment ends a member right after it has taken a message, again and again: each is there at the next
// start, and after the end none is taken.
func TestSentInTheLastMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	w.disk = true
	const rounds = 30
	for sent := range rounds {
		a := w.join("A")
		a.until("a link", func(events []Event) bool { return len(all[Link](events)) > 0 })
		if got := a.run.node.in.Count(); got != sent {
			t.Fatalf("%d messages wait after %d were taken", got, sent)
		}
		a.send("in the last moment")
		node := a.run.node
		a.leave()
		if _, err := node.Send("too late"); !errors.Is(err, ErrClosed) {
			t.Fatalf("after the end: %v", err)
		}
	}
}

// TestRestartAlone restarts a member while the others are away: it has its session at once and sends under it.
func TestRestartAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b, c := w.join("A"), w.join("B"), w.join("C")
	agree(t, abc, a, b, c)
	var before SessionKey
	a.until("that B and C have confirmed the key in use", func(events []Event) bool {
		before, _ = present(events)
		n := 0
		for _, c := range all[Confirmed](events) {
			if c.ID == before.ID && c.Role != "A" {
				n++
			}
		}
		return n >= 2
	})
	for _, p := range []*person{a, b, c} {
		p.leave()
	}
	a = w.join("A")
	got := a.key(abc...)
	if got.Epoch < before.Epoch || !got.Resumed { // it may have completed a later one while it left
		t.Fatalf("A has %+v, had %+v", got, before)
	}
	who, err := a.run.node.Who(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range who.Members {
		if !m.Confirmed && got.Transcript == before.Transcript {
			t.Errorf("A has forgotten that %s confirmed the key", m.Role)
		}
	}
	id := a.send("nobody is here")
	a.state(id, Relayed)
	b = w.join("B")
	b.reads("A", "nobody is here")
}

// TestRestartEach restarts one member after the other, with and without its state, while the others chat on.
func TestRestartEach(t *testing.T) {
	t.Parallel()
	for _, wiped := range []bool{false, true} {
		t.Run(fmt.Sprintf("wiped=%v", wiped), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "A", "B", "C")
			people := map[string]*person{"A": w.join("A"), "B": w.join("B"), "C": w.join("C")}
			agree(t, abc, people["A"], people["B"], people["C"])
			for _, role := range []string{"A", "B", "C"} {
				w.pass(time.Minute)
				people[role].leave()
				if wiped {
					w.remove(w.statePath(role))
				}
				people[role] = w.join(role)
				if wiped { // its old keys are gone for good, so what is sent under them it cannot read
					agree(t, abc, people[role], people["A"], people["B"], people["C"])
				}
				w.chat(people, "after "+role)
			}
		})
	}
}

// chat has everybody say something, and everybody else read it, under whatever session they come to.
func (w *world) chat(people map[string]*person, what string) {
	w.t.Helper()
	for role, p := range people {
		p.send(what + ", says " + role)
	}
	for to, p := range people {
		for from := range people {
			if from != to {
				p.readsLast(wire.Role(from), what+", says "+from)
			}
		}
	}
}

// TestRestartAll restarts everybody at once, with and without state.
func TestRestartAll(t *testing.T) {
	t.Parallel()
	for _, wiped := range []bool{false, true} {
		t.Run(fmt.Sprintf("wiped=%v", wiped), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "A", "B", "C")
			a, b, c := w.join("A"), w.join("B"), w.join("C")
			agree(t, abc, a, b, c)
			w.pass(time.Minute)
			for _, p := range []*person{a, b, c} {
				p.leave()
			}
			for _, role := range []string{"A", "B", "C"} {
				if wiped {
					w.remove(w.statePath(role))
				}
			}
			people := map[string]*person{"A": w.join("A"), "B": w.join("B"), "C": w.join("C")}
			w.chat(people, "again")
		})
	}
}

// TestRelayRestarts takes the relay node away and brings it back, with and without its database.
func TestRelayRestarts(t *testing.T) {
	t.Parallel()
	for _, wiped := range []bool{false, true} {
		t.Run(fmt.Sprintf("wiped=%v", wiped), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "A", "B", "C")
			people := map[string]*person{"A": w.join("A"), "B": w.join("B"), "C": w.join("C")}
			agree(t, abc, people["A"], people["B"], people["C"])
			w.stopRelay()
			for role, p := range people {
				p.until("the link to go down", func(e []Event) bool { return last[Link](e).State == Down || last[Link](e).State == Connecting })
				p.send("without a relay node, says " + role)
			}
			if wiped {
				w.wipeRelay()
			}
			w.startRelay()
			for to, p := range people {
				for from := range people {
					if from != to {
						p.readsLast(wire.Role(from), "without a relay node, says "+from)
					}
				}
			}
			w.chat(people, "with it")
		})
	}
}

// TestRelayWipedBeforeDelivery wipes the relay node while it holds shares and messages for a member that is away: the
// senders leave the shares again, and those who are still there their batches.
func TestRelayWipedBeforeDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("for C")
	a.state(id, Relayed)
	w.pass(time.Minute)
	w.stopRelay()
	w.wipeRelay()
	w.startRelay()
	a.linkBack()
	b.linkBack()
	c := w.join("C")
	c.reads("A", "for C")
	agree(t, abc, a, b, c)
}

// linkBack waits until a link that went down is ready again.
func (p *person) linkBack() {
	p.t.Helper()
	p.until("the link to come back", func(e []Event) bool {
		went := slices.ContainsFunc(all[Link](e), func(l Link) bool { return l.State == Down })
		return went && last[Link](e).State == Ready
	})
}

// links returns how often the link went down.
func (p *person) links() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range all[Link](p.events) {
		if l.State == Down {
			n++
		}
	}
	return n
}

// last returns the last event of a type, or its zero value.
func last[E Event](events []Event) (e E) {
	if of := all[E](events); len(of) > 0 {
		return of[len(of)-1]
	}
	return e
}

// readsLast waits until the last message of a sender is this.
func (p *person) readsLast(from wire.Role, want string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q of %s", want, from), func(events []Event) bool {
		got := texts(events, from)
		return len(got) > 0 && got[len(got)-1] == want
	})
}
