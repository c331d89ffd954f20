package doctor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"conclave/node"
	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/pkitest"
	"conclave/relaynode"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// clinic is a group, a relay node for it over loopback, and the configuration of A.
type clinic struct {
	t     *testing.T
	g     *pkitest.Group
	relay *relaynode.Node // nil without one
	a     node.Config
	wait  time.Duration
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newClinic(t *testing.T) *clinic { return clinicOf(t, pkitest.NewGroup(t, "A", "B")) }

func clinicOf(t *testing.T, g *pkitest.Group) *clinic {
	c := &clinic{t: t, g: g, wait: 5 * time.Second}
	c.a = c.member("A")
	return c
}

// member is the configuration of a member without a relay node.
func (c *clinic) member(role string) node.Config {
	id := c.g.Member(role)
	return node.Config{
		Group: c.g.Group, Certificate: id.Cert.DER, Identity: id.Identity, RSA: id.RSA, Roster: c.g.Roster,
		StatePath: filepath.Join(c.t.TempDir(), "state.db"), Log: quiet(),
	}
}

// start runs the relay node and has A use it.
func (c *clinic) start() {
	c.t.Helper()
	id := c.g.Relay(0)
	n, err := relaynode.New(relaynode.Config{
		Group: c.g.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: c.g.Roster, Log: quiet(),
		Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0"), ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- n.Run(context.Background()) }()
	c.t.Cleanup(func() { _ = n.Close(); <-ran })
	c.relay, c.a.Relays = n, n.Addrs()
}

// runs runs a member until the test ends, or until the returned function is called.
func (c *clinic) runs(cfg node.Config) (n *node.Node, stop func()) {
	c.t.Helper()
	cfg.Relays = c.a.Relays
	n, err := node.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.Background()) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			if err := errors.Join(n.Close(), <-ended); err != nil {
				c.t.Error(err)
			}
		}
	}
	c.t.Cleanup(stop)
	return n, stop
}

// keyed runs members until they use a key.
func (c *clinic) keyed(all ...node.Config) (stops []func()) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var events []*node.Subscription
	for _, cfg := range all {
		n, stop := c.runs(cfg)
		events, stops = append(events, n.Subscribe()), append(stops, stop)
	}
	for _, e := range events {
		for {
			event, ok := e.Next(ctx)
			if !ok {
				c.t.Fatal("no key came")
			}
			if _, using := event.(node.Using); using {
				break
			}
		}
		e.Close()
	}
	return stops
}

// at has A use an address on loopback with the relay node's peer ID.
func (c *clinic) at(transport string) {
	c.a.Relays = []ma.Multiaddr{ma.StringCast(transport + "/p2p/" + c.g.Relay(0).Cert.Peer.String())}
}

// freePort returns a port on which nothing listens, and the same port's address.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// nobody admits nobody to a circuit.
type nobody struct{ deny bool }

func (n nobody) AllowReserve(peer.ID, ma.Multiaddr) bool          { return !n.deny }
func (n nobody) AllowConnect(peer.ID, ma.Multiaddr, peer.ID) bool { return !n.deny }

// half starts a relay node of which only a part works: sessions begin, circuits are denied or not, and there is no topic.
func (c *clinic) half(deny bool) {
	c.t.Helper()
	id := c.g.Relay(0)
	h, err := overlay.NewHost(overlay.HostConfig{
		Identity: id.Identity, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Log: quiet(),
		Relay: &overlay.RelayConfig{ACL: nobody{deny}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = h.Close() })
	cfg := c.session(id.Cert, id.Identity)
	cfg.Database = wire.DatabaseID{1}
	server := overlay.HandleStream(h, overlay.SessionProtocol, overlay.StreamLimits{Service: "test"}, func(ctx context.Context, s network.Stream) error {
		conn, err := session.Accept(ctx, s, cfg)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, conn.Abort)
		defer stop()
		for {
			if _, err := conn.Receive(); err != nil {
				return err
			}
		}
	}, quiet())
	c.t.Cleanup(server.Close)
	c.a.Relays = []ma.Multiaddr{h.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + h.ID().String()))}
}

func (c *clinic) session(cert *pki.Certificate, identity ed25519.PrivateKey) session.Config {
	roster := c.g.Roster
	return session.Config{
		Group: c.g.Group, Cert: cert.DER, Identity: identity, Roster: func() *pki.Roster { return roster }, Now: time.Now,
		Nonces: session.NewNonceCache(), Log: quiet(),
	}
}

// shadow is a member that has a session and nothing else: no slot, no topic.
func (c *clinic) shadow(role string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id := c.g.Member(role)
	h, err := overlay.NewHost(overlay.HostConfig{Identity: id.Identity, Log: quiet()})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = h.Close() })
	infos, err := peer.AddrInfosFromP2pAddrs(c.relay.Addrs()...)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := overlay.Connect(ctx, h, infos[0]); err != nil {
		c.t.Fatal(err)
	}
	s, err := overlay.OpenStream(ctx, h, infos[0].ID, overlay.SessionProtocol)
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := session.Initiate(ctx, s, c.session(id.Cert, id.Identity))
	if err != nil {
		c.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			if _, err := conn.Receive(); err != nil {
				return
			}
		}
	}()
	c.t.Cleanup(func() { conn.Abort(); <-read })
}
