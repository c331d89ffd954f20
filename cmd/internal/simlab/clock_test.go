package simlab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"conclave/node"
)

// answered is how long a new key may take when the group has just made one: of one opener an opening in ten seconds is
// answered.
const answered = 15 * time.Second

// TestWrongClock puts one member's clock wrong by a day. The session that runs goes on; a new handshake fails and names the
// skew, also to the person; and soon after the clock is right all chat, also under a new key.
func TestWrongClock(t *testing.T) {
	g := newPKI(t)
	for _, wrong := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		t.Run(wrong.String(), func(t *testing.T) {
			t.Parallel()
			var took, rekeyed []time.Duration
			for seed := range uint64(rounds(seeds)) {
				synctest.Test(t, func(t *testing.T) {
					v := newGroup(t, g, seed, t.TempDir())
					defer v.close()
					b := v.people[1]
					time.Sleep(time.Minute + v.w.chance(time.Minute))
					b.ahead.Store(int64(wrong))
					for range 3 {
						v.chat("while it is wrong", 5*time.Second)
						time.Sleep(30 * time.Second)
					}
					if seed%2 == 1 { // the others go on without waiting for the one whose clock is wrong
						a := v.people[0]
						before := a.key()
						if err := a.node.Rekey(t.Context()); err != nil {
							t.Fatal(err)
						}
						a.until("a key without B", time.Minute, func() bool { return a.fingerprint != before })
						a.say("under a key that B may not have yet")
					}
					if b.downs(t) > 0 {
						t.Error("a clock that jumped ended a running session")
					}

					v.stopRelay()
					v.startRelay()
					b.until("a handshake that names the skew", 10*time.Second, func() bool {
						return slices.ContainsFunc(b.links, func(l node.Link) bool {
							return l.State == node.Down && (strings.Contains(l.Reason, "clock is 24h0m0") || strings.Contains(l.Reason, "clock is 23h59m59"))
						})
					})
					b.until("to be told", time.Second, func() bool {
						return slices.ContainsFunc(b.problems, func(s string) bool { return strings.Contains(s, "clock") })
					})
					v.say("when it cannot connect")
					time.Sleep(20*time.Second + v.w.chance(5*time.Second))
					if s := b.shows(); s == node.Ready {
						t.Error("it shows ready")
					}

					b.ahead.Store(0)
					v.say("when it is right again")
					took = append(took, v.settled(time.Minute))
					before := b.key()
					if err := b.node.Rekey(t.Context()); err != nil {
						t.Fatal(err)
					}
					rekeyed = append(rekeyed, b.until("a new key", time.Minute, func() bool { return b.fingerprint != before && b.fingerprint != "" }))
					v.chat("under a new key", 10*time.Second)
				})
			}
			report(t, fmt.Sprintf("a clock %s ahead was put right", wrong), took, recover)
			report(t, "and then a new key", rekeyed, answered)
		})
	}
}
