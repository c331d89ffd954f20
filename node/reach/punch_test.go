package reach

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestPartWith: of any two, exactly one opens the circuit, unless the ring is large and they are far apart; nobody has more
// neighbours than the bound.
func TestPartWith(t *testing.T) {
	for n := 2; n <= 60; n++ {
		ring := make([]peer.ID, n)
		for i := range ring {
			ring[i] = peer.ID(fmt.Sprintf("%03d", i*7919%1000))
		}
		for _, self := range ring {
			neighbours := 0
			for _, other := range ring {
				if self == other {
					continue
				}
				mine, its := partWith(self, other, ring), partWith(other, self, ring)
				switch {
				case mine == partNone && its == partNone && n > MaxNeighbours+1:
				case mine == partOpens && its == partWaits, mine == partWaits && its == partOpens:
					neighbours++
				default:
					t.Fatalf("of %d: %v and %v", n, mine, its)
				}
			}
			if neighbours > MaxNeighbours || neighbours < min(n-1, MaxNeighbours) {
				t.Fatalf("of %d: %d neighbours", n, neighbours)
			}
		}
	}
}
