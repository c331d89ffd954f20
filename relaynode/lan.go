package relaynode

import (
	"context"

	"conclave/overlay/lan"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// LAN says how to announce the relay node on the local network.
type LAN struct {
	// Interfaces are the names of those to use. None means every one that the relay node listens on.
	Interfaces []string
}

// announce lets members on the local network find the relay node on host h, until ctx ends. It looks for nobody itself.
func announce(ctx context.Context, cfg Config, h host.Host, admits func(peer.ID) bool) error {
	if cfg.LAN == nil {
		return nil
	}
	service, err := lan.Start(lan.Config{
		Group: cfg.Group.ID, Self: h.ID(), Listen: h.Network().ListenAddresses, Admit: admits,
		Found: func(peer.AddrInfo) {}, Links: lan.Only(cfg.LAN.Interfaces...), Log: cfg.Log,
	})
	if err != nil {
		cfg.Log.Warn("members on the local network cannot find this relay node by themselves", "err", err)
		return nil
	}
	<-ctx.Done()
	return service.Close()
}
