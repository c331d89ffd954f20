package keyagreement

import (
	"testing"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// TestClockWrongByADay sets one member's clock wrong and right again. It sends on under the key in use, and when the clock is
// right it takes part in new keys at once: no wait and no number of the wrong day is left.
func TestClockWrongByADay(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, 3)
	for _, wrong := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		for _, asks := range []wire.Role{"A", "B"} {
			t.Run(wrong.String()+" "+string(asks)+" asks", func(t *testing.T) {
				t.Parallel()
				p, r := newParty(t, keys, "A", "B", "C")
				for _, role := range []wire.Role{"A", "B", "C"} {
					p.start(role, r)
				}
				p.run(time.Minute)
				first := p.agree("A", "B", "C")

				p.ahead["B"] = wrong
				p.step("B", event.Tick{})
				p.run(time.Minute)
				if p.using["B"] != first.Transcript {
					t.Fatal("B stopped sending when its clock jumped")
				}
				p.step(asks, event.Rekey{})
				p.settle()
				p.run(2 * time.Minute)

				p.ahead["B"] = 0
				p.step("B", event.Tick{})
				p.run(10 * time.Second)
				p.step("B", event.Rekey{})
				p.settle()
				before := p.now
				for p.now.Sub(before) < 20*time.Second {
					p.run(time.Second)
				}
				s := p.agree("A", "B", "C")
				if s.Transcript == first.Transcript || len(s.Contributors) != 3 {
					t.Fatalf("after the clock was right they use %s of %v", s.Fingerprint, s.Contributors)
				}
				if at, ok := p.live["B"].Deadline(); ok && at.After(p.now.Add(23*time.Hour)) && wrong > 0 {
					t.Errorf("B waits until %s, now is %s", at, p.now)
				}
			})
		}
	}
}
