package node

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"conclave/overlay/wire"
)

// TestDeafTopic has nothing come to A over the topic while its session is well. What B says is fetched, and A's link begins
// again rather than stay like that.
func TestDeafTopic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	var deaf atomic.Bool
	w.tune = func(cfg *Config) { cfg.Timing.DoubtAfter = 300 * time.Millisecond }
	cfg := w.config("A")
	dropping(&cfg, deaf.Load)
	a, b := w.joinWith(cfg, "A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	b.send("before")
	a.reads("B", "before")
	deaf.Store(true)
	said := []string{"before"}
	ended := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return slices.ContainsFunc(all[Link](a.events), func(l Link) bool { return l.State == Down && l.Reason == "what is sent over the topic does not arrive" })
	}
	for i := 0; !ended(); i++ {
		if i == 200 {
			t.Fatal("A's link stays though nothing comes over the topic")
		}
		said = append(said, fmt.Sprintf("message %d", i))
		b.send(said[len(said)-1])
		a.reads("B", said...)
	}
	deaf.Store(false)
	a.linkBack()
	b.send("after")
	a.reads("B", append(said, "after")...)
}
