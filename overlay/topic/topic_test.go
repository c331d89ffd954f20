package topic

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	ma "github.com/multiformats/go-multiaddr"
)

// star is a hub and its members, all in the topic and meshed.
type star struct {
	hub     host.Host
	hubs    *Handle
	members []host.Host
	topics  []*Handle
}

// joiner joins the topic with the configuration of the tests, changed.
type joiner func(t testing.TB, h host.Host, change func(*Config)) *Handle

func join(t testing.TB, h host.Host, change func(*Config)) *Handle {
	t.Helper()
	cfg := Config{Group: testGroup, Log: quiet()}
	change(&cfg)
	topic, err := Join(deadline(t, 60*time.Second), h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { topic.Close() })
	return topic
}

func newStar(t testing.TB, n int, change func(*Config)) *star {
	t.Helper()
	return newStarBy(t, n, change, join)
}

// newStarBy has everybody join in that way.
func newStarBy(t testing.TB, n int, change func(*Config), join joiner) *star {
	t.Helper()
	s := &star{hub: newHost(t, relayed(n))}
	all := []host.Host{s.hub}
	for range n {
		s.members = append(s.members, newHost(t, dialOnly, sized(n)))
	}
	all = append(all, s.members...)
	set := func(c *Config) {
		c.Members, c.Admit = n, everyone(all...)
		c.Relays = everyone(s.hub)
		if change != nil {
			change(c)
		}
	}
	s.hubs = join(t, s.hub, func(c *Config) { set(c); c.Hub = true })
	for _, m := range s.members {
		connect(t, m, s.hub)
		s.topics = append(s.topics, join(t, m, set))
	}
	s.settle(t)
	return s
}

// settle publishes from the hub until every member has received once: then everybody is in the mesh.
func (s *star) settle(t testing.TB) {
	t.Helper()
	ctx := deadline(t, 60*time.Second)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i, topic := range s.topics {
		wg.Go(func() {
			if _, err := topic.Receive(ctx); err != nil {
				t.Errorf("member %d never got into the mesh: %v", i, err)
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	for i := uint32(0); ; i++ {
		if err := s.hubs.Publish(ctx, binary.BigEndian.AppendUint32([]byte("settle"), i)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func payload(from int, n uint32) []byte {
	b := make([]byte, 256)
	b[0] = byte(from)
	binary.BigEndian.PutUint32(b[1:], n)
	return b
}

// collect receives want messages of each sender but self and checks that they are in order.
func collect(ctx context.Context, topic *Handle, senders map[int]uint32) error {
	next := make(map[int]uint32)
	for got := 0; ; {
		left := 0
		for s, n := range senders {
			left += int(n - next[s])
		}
		if left == 0 {
			return nil
		}
		m, err := topic.Receive(ctx)
		if err != nil {
			return errors.Join(err, errors.New("messages are missing"))
		}
		if len(m.Data) != 256 {
			continue // settling
		}
		from, n := int(m.Data[0]), binary.BigEndian.Uint32(m.Data[1:])
		if n != next[from] {
			return errors.New("a message overtook another, or was lost")
		}
		next[from]++
		got++
	}
}

func noDrops(t testing.TB, topics ...*Handle) {
	t.Helper()
	for _, topic := range topics {
		for name, n := range topic.Drops() {
			if n != 0 {
				t.Errorf("%d drops: %s", n, name)
			}
		}
	}
}

func TestTopicBurst(t *testing.T) {
	s := newStar(t, 4, nil)
	ctx := deadline(t, 60*time.Second)
	var wg sync.WaitGroup
	for _, topic := range s.topics[1:] {
		wg.Go(func() {
			if err := collect(ctx, topic, map[int]uint32{0: 1000}); err != nil {
				t.Error(err)
			}
		})
	}
	for n := range uint32(1000) {
		if err := s.topics[0].Publish(ctx, payload(0, n)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	noDrops(t, append(s.topics, s.hubs)...)
}

func TestTopicHoldsManyMembers(t *testing.T) {
	const members, each = 24, 10
	s := newStar(t, members, nil)
	ctx := deadline(t, 60*time.Second)
	var wg sync.WaitGroup
	for i, topic := range s.topics {
		want := make(map[int]uint32)
		for j := range members {
			if j != i {
				want[j] = each
			}
		}
		wg.Go(func() {
			if err := collect(ctx, topic, want); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for n := range uint32(each) {
				if err := topic.Publish(ctx, payload(i, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	noDrops(t, append(s.topics, s.hubs)...)
}

func TestPublishWaitsForSomebody(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	admit := func(c *Config) { c.Admit = everyone(a, b) }
	alone := join(t, a, admit)
	if err := alone.Publish(deadline(t, 300*time.Millisecond), []byte("lost")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("err = %v, want to wait", err)
	}
	published := make(chan error, 1)
	go func() { published <- alone.Publish(deadline(t, 60*time.Second), []byte("waited")) }()
	other := join(t, b, admit)
	connect(t, a, b)
	m, err := other.Receive(deadline(t, 60*time.Second))
	if err != nil || string(m.Data) != "waited" || m.From != a.ID() {
		t.Fatalf("received %q from %s: %v", m.Data, m.From, err)
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
}

func TestTopicSurvivesReconnect(t *testing.T) {
	t.Parallel()
	s := newStar(t, 2, nil)
	if err := s.hub.Network().ClosePeer(s.members[0].ID()); err != nil {
		t.Fatal(err)
	}
	for len(s.topics[0].Peers()) > 0 {
		time.Sleep(time.Millisecond)
	}
	connect(t, s.members[0], s.hub)
	ctx := deadline(t, 60*time.Second)
	if err := s.topics[0].Publish(ctx, payload(0, 0)); err != nil {
		t.Fatal(err)
	}
	if err := collect(ctx, s.topics[1], map[int]uint32{0: 1}); err != nil {
		t.Fatal(err)
	}
}

func TestPublishRefusesSizes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	topic := join(t, h, func(c *Config) { c.Admit = everyone(h) })
	for _, n := range []int{0, wire.MaxBatch + 1} {
		if err := topic.Publish(deadline(t, time.Second), make([]byte, n)); !errors.Is(err, wire.ErrBatch) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestLargestBatchArrives(t *testing.T) {
	t.Parallel()
	s := newStar(t, 2, nil)
	ctx := deadline(t, 60*time.Second)
	if err := s.topics[0].Publish(ctx, make([]byte, wire.MaxBatch)); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := s.topics[1].Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Data) == wire.MaxBatch {
			return
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	s := newStar(t, 2, func(c *Config) {
		c.Validate = func(_ peer.ID, data []byte) (any, bool) { return data[0], data[0] != 7 }
	})
	ctx := deadline(t, 60*time.Second)
	for _, n := range []int{7, 0} {
		if err := s.topics[0].Publish(ctx, payload(n, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := collect(ctx, s.topics[1], map[int]uint32{0: 1}); err != nil {
		t.Fatal(err)
	}
	if s.hubs.Drops()[DropInvalid] != 1 {
		t.Fatalf("drops %v", s.hubs.Drops())
	}
}

func TestRateIsBounded(t *testing.T) {
	t.Parallel()
	s := newStar(t, 2, func(c *Config) { c.Rate = Rate{Messages: 50, Bytes: 1 << 20, Burst: 1} })
	ctx := deadline(t, 60*time.Second)
	for n := range uint32(500) {
		if err := s.topics[0].Publish(ctx, payload(0, n)); err != nil {
			t.Fatal(err)
		}
	}
	for s.hubs.Drops()[DropRate] == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Fatalf("drops %v", s.hubs.Drops())
	}
}

func TestReceiveAfterClose(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	topic := join(t, h, func(c *Config) { c.Admit, c.Hub = everyone(h), true })
	topic.Close()
	if _, err := topic.Receive(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("err = %v", err)
	}
	if err := topic.Publish(context.Background(), []byte("x")); !errors.Is(err, ErrClosed) {
		t.Fatalf("err = %v", err)
	}
}

// TestTopicClosesQuietly: nothing of the topic runs on when handle and host are closed.
func TestTopicClosesQuietly(t *testing.T) {
	before := goleak.IgnoreCurrent()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := overlay.NewHost(overlay.HostConfig{
		Identity: key, Listen: []ma.Multiaddr{loopbackTCP, loopbackQUIC}, Log: quiet(),
		Relay: &overlay.RelayConfig{ACL: anyone{}}, HolePunch: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := Join(context.Background(), h, Config{Group: testGroup, Hub: true, Admit: everyone(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(topic.Close(), h.Close()); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}

// TestNoTopicOverCircuits connects two members over a circuit only, without a hub in the topic: nothing of what the first
// one says comes to the second.
func TestNoTopicOverCircuits(t *testing.T) {
	t.Parallel()
	relay := newHost(t, relayed(4))
	a, b := newHost(t, dialOnly), newHost(t, dialOnly)
	set := func(c *Config) { c.Admit = everyone(a, b) }
	from, to := join(t, a, set), join(t, b, set)
	connect(t, a, relay)
	connect(t, b, relay)
	if _, err := overlay.Reserve(deadline(t, 60*time.Second), b, relay.ID()); err != nil {
		t.Fatal(err)
	}
	via, _ := overlay.CircuitAddr(fullAddr(relay))
	if err := overlay.Connect(deadline(t, 60*time.Second), a, peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{via}}); err != nil {
		t.Fatal(err)
	}
	if err := from.Publish(deadline(t, time.Second), []byte("over a circuit")); err != nil {
		return
	}
	if _, err := to.Receive(deadline(t, 2*time.Second)); err == nil {
		t.Error("a member's message went over a circuit")
	}
}

// TestForgedCopyTakesNobodysPlace: what differs in its last bytes alone, a batch's signature, is another message.
func TestForgedCopyTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	s := newStar(t, 2, nil)
	ctx := deadline(t, 60*time.Second)
	forged, real := payload(0, 0), payload(0, 0)
	forged[len(forged)-1] ^= 1
	for _, data := range [][]byte{forged, real, payload(0, 1)} {
		if err := s.topics[0].Publish(ctx, data); err != nil {
			t.Fatal(err)
		}
	}
	for {
		m, err := s.topics[1].Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(m.Data, real) {
			return
		}
		if bytes.Equal(m.Data, payload(0, 1)) {
			t.Fatal("the forged copy took the real message's place")
		}
	}
}

func TestPublishNow(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	set := func(c *Config) { c.Admit = everyone(a, b) }
	atA, atB := join(t, a, set), join(t, b, set)
	if err := atA.PublishNow(t.Context(), []byte("alone")); !errors.Is(err, ErrNobody) {
		t.Errorf("alone: %v", err)
	}
	connect(t, a, b)
	for _, topic := range []*Handle{atA, atB} {
		if err := topic.Ready(deadline(t, 60*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := atB.Meshed(deadline(t, 60*time.Second), a.ID()); err != nil {
		t.Fatal(err)
	}
	if err := atA.PublishNow(t.Context(), []byte("to B")); err != nil {
		t.Fatal(err)
	}
	if m, err := atB.Receive(deadline(t, 60*time.Second)); err != nil || string(m.Data) != "to B" {
		t.Errorf("B receives %q, %v", m.Data, err)
	}
}
