package pace

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestPeersAreTakenOnce has a set filled, emptied and filled again.
func TestPeersAreTakenOnce(t *testing.T) {
	s := NewPeers()
	rung := func() bool {
		select {
		case <-s.Signal:
			return true
		default:
			return false
		}
	}
	if s.Add(); rung() || s.Take() != nil {
		t.Error("an empty set is rung for")
	}
	s.Add("a", "b")
	s.Add("b")
	if got := s.Take(); !rung() || rung() || len(got) != 2 || !slices.Contains(got, peer.ID("a")) || !slices.Contains(got, peer.ID("b")) {
		t.Errorf("took %v", got)
	}
	if s.Add("c"); !rung() || !slices.Equal(s.Take(), []peer.ID{"c"}) || s.Take() != nil {
		t.Error("what was added later is lost, or was taken twice")
	}
}
