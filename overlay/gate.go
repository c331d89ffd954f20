package overlay

import (
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	ma "github.com/multiformats/go-multiaddr"
)

// RosterGate refuses inbound connections, direct ones and circuits, of peers that admit does not know: as soon as the
// secure channel has proven who it is, before any stream. Whom this node dials it has chosen itself. admit is asked for
// every connection and must be quick.
func RosterGate(admit func(peer.ID) bool) connmgr.ConnectionGater { return rosterGate{admit} }

type rosterGate struct{ admit func(peer.ID) bool }

func (rosterGate) InterceptPeerDial(peer.ID) bool               { return true }
func (rosterGate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }
func (rosterGate) InterceptAccept(network.ConnMultiaddrs) bool  { return true }

func (g rosterGate) InterceptSecured(d network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return d == network.DirOutbound || g.admit(p)
}

func (rosterGate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
