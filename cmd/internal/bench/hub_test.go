package bench

import (
	"fmt"
	"testing"
	"time"

	"conclave/internal/baseline"
	"conclave/overlay/longtest"
)

// TestHubHolds sends 20 messages a second in total through one relay node for half a minute: every delivery arrives,
// once and in its sender's order. The library's defaults lose most of them.
func TestHubHolds(t *testing.T) {
	sizes, messages := []int{fewMembers}, hubMessages/4
	if longtest.Wanted() {
		sizes, messages = []int{fewMembers, manyMembers}, hubMessages
	}
	for _, members := range sizes {
		t.Run(fmt.Sprintf("members=%d", members), func(t *testing.T) {
			c := newConclave(t, members)
			journeys, err := plan{0, messages, members}.paced(t.Context(), c, 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			var took baseline.Latencies
			took.Add(latencies(journeys)...)
			if want := messages * (members - 1); took.Count() != want {
				t.Errorf("%d deliveries, want %d", took.Count(), want)
			}
			t.Logf("%d deliveries: p50 %v, p99 %v, max %v", took.Count(), took.Quantile(0.5), took.Quantile(0.99), took.Quantile(1))
		})
	}
}

// TestBackToBack has one of four members send 1,000 messages as fast as it can: all arrive, in order.
func TestBackToBack(t *testing.T) {
	c := newConclave(t, 4)
	took, err := plan{0, 1000, 1}.burst(t.Context(), c, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("3,000 deliveries in %v", took)
}
