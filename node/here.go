package node

import (
	"net"

	"conclave/node/keyagreement/event"
	"conclave/node/reach"
	"conclave/overlay/wire"
	"conclave/pki"

	ma "github.com/multiformats/go-multiaddr"
)

// LAN says how to look for the others on the local network.
type LAN struct {
	// Interfaces are the names of those to use. None means every one that the member listens on.
	Interfaces []string
}

// listenAddrs returns where the member accepts connections: without a port of its own nobody could reach it directly.
func listenAddrs(cfg Config) []ma.Multiaddr {
	if cfg.DialOnly || len(cfg.Listen) > 0 || cfg.ListenUDP != nil {
		return cfg.Listen
	}
	list := []ma.Multiaddr{ma.StringCast("/ip4/0.0.0.0/tcp/0"), ma.StringCast("/ip4/0.0.0.0/udp/0/quic-v1")}
	if probe, err := net.Listen("tcp6", "[::]:0"); err == nil { // this machine has IPv6
		_ = probe.Close()
		list = append(list, ma.StringCast("/ip6/::/tcp/0"), ma.StringCast("/ip6/::/udp/0/quic-v1"))
	}
	return list
}

// newReach returns what knows who is here and how each is reached.
func newReach(e *engine) *reach.Reach {
	t := e.cfg.Timing
	return reach.New(reach.Config{
		Self: e.n.self, Roster: func() *pki.Roster { return e.roster }, InForce: e.n.roster.Load,
		Relays: e.relays, Circuits: e.courier, Sink: reachSink{e},
		Post:   e.n.postFunc,
		Timing: reach.Timing{PunchAfter: t.PunchAfter, PunchRetry: t.PunchRetry, PunchRetryMax: t.PunchRetryMax},
		Log:    e.cfg.Log,
	})
}

// reachSink tells the key agreement and the screens who is here.
type reachSink struct{ e *engine }

// Present implements reach.Sink.
func (s reachSink) Present(role wire.Role, online bool) {
	if online {
		s.e.step(event.Online{Role: role})
	} else {
		s.e.step(event.Offline{Role: role})
	}
}

// Path implements reach.Sink.
func (s reachSink) Path(role wire.Role, online bool, way reach.Way) {
	s.e.publish(Peer{At: s.e.at(), Role: role, Online: online, Path: way.Path, Reason: way.Reason})
}
