package topic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"conclave/overlay"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	msmux "github.com/multiformats/go-multistream"
)

// meeting lets a host begin its first dial when another one does, too: then neither finds a connection that is there already.
type meeting struct {
	both *sync.WaitGroup
	came *sync.Once
}

func (m meeting) InterceptPeerDial(peer.ID) bool {
	m.came.Do(m.both.Done)
	m.both.Wait()
	return true
}

func (meeting) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

func (meeting) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (meeting) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool { return true }

func (meeting) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// dialled returns the connection to a peer that this host dialled, which stays nil when it is closed.
func dialled(h host.Host, p peer.ID) network.Conn {
	for _, c := range h.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound && !c.IsClosed() {
			return c
		}
	}
	return nil
}

// dialler opens its streams over the connection that it dialled while there is one.
type dialler struct{ host.Host }

func (d dialler) NewStream(ctx context.Context, p peer.ID, protos ...protocol.ID) (network.Stream, error) {
	c := dialled(d.Host, p)
	if c == nil {
		return d.Host.NewStream(ctx, p, protos...)
	}
	s, err := c.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := msmux.SelectOneOf(protos, s)
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	return s, s.SetProtocol(chosen)
}

// crossed returns two hosts with two connections, one dialled by each, over different transports.
func crossed(t *testing.T) (a, b host.Host) {
	t.Helper()
	var both sync.WaitGroup
	both.Add(2)
	gated := func(c *overlay.HostConfig) { c.Gater = meeting{&both, new(sync.Once)} }
	a, b = newHost(t, listening(loopbackQUIC), gated), newHost(t, listening(loopbackTCP), gated)
	var dials sync.WaitGroup
	dials.Go(func() { connect(t, a, b) })
	dials.Go(func() { connect(t, b, a) })
	dials.Wait()
	if dialled(a, b.ID()) == nil || dialled(b, a.ID()) == nil {
		t.Fatal("there are not two connections")
	}
	return a, b
}

// arrives publishes until something comes out at the other end.
func arrives(t *testing.T, from, to *Handle) error {
	t.Helper()
	ctx := deadline(t, 60*time.Second)
	came := make(chan error, 1)
	go func() { _, err := to.Receive(ctx); came <- err }()
	for i := uint32(0); ; i++ {
		text := binary.BigEndian.AppendUint32(fmt.Append(nil, time.Now()), i)
		if err := from.Publish(ctx, text); err != nil {
			return err
		}
		select {
		case err := <-came:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestTopicOutlivesConnection: two peers have two connections, each the topic stream of one of them. When one connection
// is closed, by whichever side, both still hear each other over the other one, and neither left the topic.
func TestTopicOutlivesConnection(t *testing.T) {
	t.Parallel()
	for _, closer := range []string{"the one that dialled it", "the other one"} {
		t.Run(closer, func(t *testing.T) {
			t.Parallel()
			a, b := crossed(t)
			set := func(c *Config) { c.Admit = everyone(a, b) }
			atA, atB := join(t, dialler{a}, set), join(t, dialler{b}, set)
			for _, way := range [][2]*Handle{{atA, atB}, {atB, atA}} {
				if err := arrives(t, way[0], way[1]); err != nil {
					t.Fatalf("before: %v", err)
				}
			}
			var left sync.WaitGroup
			watched, stop := context.WithCancel(t.Context())
			left.Go(func() {
				if now, err := atA.Follow(watched, []peer.ID{b.ID()}); err == nil {
					t.Errorf("the one whose stream broke forgot the other's subscription: in its topic are now %v", now)
				}
			})
			doomed := dialled(a, b.ID())
			if closer == "the other one" {
				conns := b.Network().ConnsToPeer(a.ID())
				doomed = conns[slices.IndexFunc(conns, func(c network.Conn) bool { return c.Stat().Direction == network.DirInbound })]
			}
			if err := doomed.Close(); err != nil {
				t.Fatal(err)
			}
			for _, way := range [][2]*Handle{{atA, atB}, {atB, atA}} {
				if err := arrives(t, way[0], way[1]); err != nil {
					t.Errorf("after: %v", err)
				}
			}
			stop()
			left.Wait()
		})
	}
}

// TestTopicEndsWithLastConnection: a stream has nowhere to move to when the last connection is closed, and the peer has
// left.
func TestTopicEndsWithLastConnection(t *testing.T) {
	t.Parallel()
	a, b := crossed(t)
	set := func(c *Config) { c.Admit = everyone(a, b) }
	atA, atB := join(t, dialler{a}, set), join(t, dialler{b}, set)
	if err := arrives(t, atA, atB); err != nil {
		t.Fatal(err)
	}
	if err := b.Network().ClosePeer(a.ID()); err != nil {
		t.Fatal(err)
	}
	if now, err := atA.Follow(deadline(t, 60*time.Second), []peer.ID{b.ID()}); err != nil || len(now) > 0 {
		t.Errorf("in the topic: %v, %v", now, err)
	}
}

// slowLook holds the first answer about the connections with a peer back until it is out of date.
type slowLook struct {
	host.Host
	look func(peer.ID, []network.Conn)
}

func (h slowLook) Network() network.Network { return slowNetwork{h.Host.Network(), h.look} }

type slowNetwork struct {
	network.Network
	look func(peer.ID, []network.Conn)
}

func (n slowNetwork) ConnsToPeer(p peer.ID) []network.Conn {
	conns := n.Network.ConnsToPeer(p)
	n.look(p, conns)
	return conns
}

// TestDirectConnectionDuringRefusal: a member's direct connection comes while its circuit is still being found unfit for
// the topic. The refusal does not keep it out.
func TestDirectConnectionDuringRefusal(t *testing.T) {
	t.Parallel()
	relay := newHost(t, relayed(4))
	a, b := newHost(t, dialOnly), newHost(t)
	known, err := a.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	connect(t, a, relay)
	connect(t, b, relay)
	if _, err := overlay.Reserve(deadline(t, 60*time.Second), b, relay.ID()); err != nil {
		t.Fatal(err)
	}
	direct := make(chan struct{})
	var once sync.Once
	look := func(p peer.ID, conns []network.Conn) {
		if p == b.ID() && len(conns) > 0 {
			once.Do(func() {
				if !overlay.IsCircuit(conns[0].RemoteMultiaddr()) {
					t.Error("the first look finds a direct connection")
				}
				close(direct)
				for e := range known.Out() {
					c := e.(event.EvtPeerIdentificationCompleted).Conn
					if c.RemotePeer() == p && !overlay.IsCircuit(c.RemoteMultiaddr()) {
						return
					}
				}
			})
		}
	}
	set := func(c *Config) { c.Admit = everyone(a, b) }
	atA := join(t, slowLook{a, look}, set)
	join(t, b, set)
	via, _ := overlay.CircuitAddr(fullAddr(relay))
	if err := overlay.Connect(deadline(t, 60*time.Second), a, peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{via}}); err != nil {
		t.Fatal(err)
	}
	<-direct
	ctx := network.WithForceDirectDial(deadline(t, 60*time.Second), "test")
	a.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Minute)
	if _, err := a.Network().DialPeer(ctx, b.ID()); err != nil {
		t.Fatal(err)
	}
	if now, err := atA.Follow(deadline(t, 60*time.Second), nil); err != nil {
		t.Errorf("B is not in the topic: %v, %v", now, err)
	}
}

// TestWriteDuringMove has a topic stream written to while it moves, which waits for the network: the writer waits too, as
// anything waits for the network, and no longer than the topic lasts.
func TestWriteDuringMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &movingStream{Stream: endedStream{}, host: &gatedHost{ctx: ctx}, moving: make(chan struct{}, 1)}
		s.moving <- struct{}{} // the reader moves it
		written := make(chan error, 1)
		go func() {
			_, err := s.Write([]byte("an RPC"))
			written <- err
		}()
		time.Sleep(time.Minute) // with a lock, which synctest does not count as waiting, this never ends
		if len(written) > 0 {
			t.Fatalf("a write did not wait for the move: %v", <-written)
		}
		cancel()
		if err := <-written; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("a write during a move when the topic ends: %v, want %v", err, io.ErrClosedPipe)
		}
	})
}

// endedStream is a stream whose connection has ended.
type endedStream struct{ network.Stream }

func (endedStream) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
