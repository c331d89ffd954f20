package overlay

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// ErrNoRelayID is returned when a relay node's address does not name the relay node. The address goes before its text.
var ErrNoRelayID = errors.New("does not end in /p2p/<peer ID>")

// RelayID returns the peer ID in which a relay node's address must end.
func RelayID(a ma.Multiaddr) (peer.ID, error) {
	_, id := peer.SplitAddr(a)
	if id == "" {
		return "", noRelayID(a)
	}
	return id, nil
}

// CheckRelayAddr checks that an address says both where a relay node is and who it is.
func CheckRelayAddr(a ma.Multiaddr) error {
	if transport, id := peer.SplitAddr(a); transport == nil || id == "" {
		return noRelayID(a)
	}
	return nil
}

func noRelayID(a ma.Multiaddr) error { return fmt.Errorf("the relay address %s %w", a, ErrNoRelayID) }
