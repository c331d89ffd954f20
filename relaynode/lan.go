package relaynode

import (
	"context"

	"conclave/overlay/lan"

	"github.com/libp2p/go-libp2p/core/peer"
)

// LAN says how to announce the relay node on the local network.
type LAN struct {
	// Interfaces are the names of those to use. None means every one that the relay node listens on.
	Interfaces []string
}

// announce lets members on the local network find the relay node, until ctx ends. It looks for nobody itself.
func (n *Node) announce(ctx context.Context) error {
	if n.cfg.LAN == nil {
		return nil
	}
	service, err := lan.Start(lan.Config{
		Group: n.cfg.Group.ID, Self: n.host.ID(), Listen: n.host.Network().ListenAddresses, Admit: n.admits,
		Found: func(peer.AddrInfo) {}, Links: lan.Only(n.cfg.LAN.Interfaces...), Log: n.log,
	})
	if err != nil {
		n.log.Warn("members on the local network cannot find this relay node by themselves", "err", err)
		return nil
	}
	<-ctx.Done()
	return service.Close()
}
