package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

// countedWrites is a stream that counts what is written to it.
type countedWrites struct {
	network.Stream
	n atomic.Int64
}

func (s *countedWrites) Write(b []byte) (int, error) {
	s.n.Add(1)
	return s.Stream.Write(b)
}

// TestMessagesInOrder sends from both sides at once; what waits while a write is under way goes out together.
func TestMessagesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair()
	writes := &countedWrites{Stream: m.stream}
	m.stream = writes
	const n = 2000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range uint64(n) {
			if err := m.Send(context.Background(), &wire.Fetch{Seq: i}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range uint64(n) {
			if err := r.Send(context.Background(), &wire.Fetched{Seq: i}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range uint64(n) {
			if got, err := r.Receive(); err != nil || got.(*wire.Fetch).Seq != i {
				t.Fatalf("message %d: %v, %v", i, got, err)
			}
		}
	})
	for i := range uint64(n) {
		if got, err := m.Receive(); err != nil || got.(*wire.Fetched).Seq != i {
			t.Fatalf("message %d: %v, %v", i, got, err)
		}
	}
	wg.Wait()
	if k := writes.n.Load(); k == 0 || k >= n {
		t.Errorf("%d messages in %d writes", n, k)
	}
}

func TestManySenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair()
	const senders, each = 64, 50
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				if err := m.Send(context.Background(), &wire.Store{Batches: [][]byte{make([]byte, 1000)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range senders * each {
		if _, err := r.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

// TestQueueIsBounded: a peer that does not read costs a bounded amount of memory and blocks nobody for ever.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.pair()
	big := &wire.Store{Batches: [][]byte{make([]byte, wire.MaxBatch), make([]byte, wire.MaxBatch)}}
	for i := 0; ; i++ {
		err := m.Offer(big)
		if errors.Is(err, ErrQueueFull) {
			break
		}
		if err != nil || i > 200 { // 100 MiB
			t.Fatalf("after %d messages: %v", i, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	for {
		if err := m.Send(ctx, big); errors.Is(err, context.DeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	m.Abort()
	if err := m.Send(context.Background(), big); !errors.Is(err, ErrClosed) {
		t.Fatalf("err = %v", err)
	}
}

func TestPingsKeepItAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair(func(c *Config) { c.Ping, c.Silence = 100*time.Millisecond, 3*time.Second })
	go r.Receive()
	received := make(chan error, 1)
	go func() {
		_, err := m.Receive()
		received <- err
	}()
	select {
	case err := <-received:
		t.Fatalf("an idle connection ended: %v", err)
	case <-time.After(4 * time.Second): // longer than the silence that ends it
	}
	if m.RTT() <= 0 {
		t.Error("no round trip was measured")
	}
}

func TestSilenceEndsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.pair(func(c *Config) { c.Ping, c.Silence = time.Hour, 100*time.Millisecond })
	if _, err := m.Receive(); !errors.Is(err, ErrSilent) {
		t.Fatalf("err = %v", err)
	}
	<-m.done
	if err := m.Send(context.Background(), &wire.Ping{}); !errors.Is(err, ErrSilent) {
		t.Fatalf("err = %v", err)
	}
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair()
	for range 100 {
		if err := m.Send(context.Background(), &wire.Store{Batches: [][]byte{make([]byte, 10_000)}}); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- m.Close() }()
	for i := range 100 {
		if _, err := r.Receive(); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if _, err := r.Receive(); !errors.Is(err, io.EOF) {
		t.Fatalf("err = %v, want the end", err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := m.Send(context.Background(), &wire.Ping{}); !errors.Is(err, ErrClosed) {
		t.Fatalf("err = %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatalf("a second Close: %v", err)
	}
}

func TestCloseWakesReceive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair()
	received := make(chan error, 1)
	go func() {
		_, err := m.Receive()
		received <- err
	}()
	m.Close()
	if err := <-received; !errors.Is(err, ErrClosed) {
		t.Fatalf("err = %v", err)
	}
	if _, err := r.Receive(); err == nil {
		t.Fatal("the other side still receives")
	}
}

// watched is a stream that says when it is read from, counts how often it is reset, and is closed only when received is.
type watched struct {
	network.Stream
	reading  chan struct{} // one token
	received chan struct{}
	resets   atomic.Int32
}

func (s *watched) Read(b []byte) (int, error) {
	select {
	case s.reading <- struct{}{}:
	default:
	}
	return s.Stream.Read(b)
}

func (s *watched) Reset() error {
	s.resets.Add(1)
	return s.Stream.Reset()
}

func (s *watched) Close() error {
	<-s.received
	return s.Stream.Close()
}

// TestCloseResetsNothing: what is written before Close reaches somebody who reads it late. The Receive that Close wakes does not
// reset the stream meanwhile.
func TestCloseResetsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("A"), w.relay(0)
	results := w.serve(b)
	s := &watched{Stream: w.dial(a, b), reading: make(chan struct{}, 1), received: make(chan struct{})}
	m, err := Initiate(context.Background(), s, a.cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := w.wait(results)
	if r.err != nil {
		t.Fatal(r.err)
	}
	<-s.reading // of the handshake
	go func() {
		defer close(s.received)
		_, _ = m.Receive() // TestCloseWakesReceive looks at what it returns
	}()
	<-s.reading
	if err := m.Offer(&wire.Store{Batches: [][]byte{{1}}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.resets.Load(); n != 0 {
		t.Errorf("the stream was reset %d times", n)
	}
	if msg, err := r.conn.Receive(); err != nil {
		t.Errorf("%T, %v; want what was sent", msg, err)
	}
	if _, err := r.conn.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("err = %v, want the end", err)
	}
}

// TestWrongMessage: a side that gets what the other may not send ends the connection.
func TestWrongMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair()
	if err := m.Send(context.Background(), &wire.Presence{}); err != nil { // only relay nodes say who is there
		t.Fatal(err)
	}
	if _, err := r.Receive(); !errors.Is(err, wire.ErrMessage) {
		t.Fatalf("err = %v", err)
	}
	if _, err := m.Receive(); err == nil {
		t.Fatal("the member's side goes on")
	}
}

func TestDeliveryHasIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair()
	from := w.Member("B").Cert.Peer
	mail := wire.Mail{From: from, Kind: wire.KindShare, Payload: []byte("share")}
	if err := r.Send(context.Background(), &wire.Delivery{Mails: []wire.Mail{mail}}); err != nil {
		t.Fatal(err)
	}
	got, err := m.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if want := wire.MailIDOf(from, w.Member("A").Cert.Peer, wire.KindShare, mail.Payload); got.(*wire.Delivery).Mails[0].ID != want {
		t.Fatal("the mail's ID is not the one that the relay node knows it by")
	}
}

func TestSendRefusesMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.pair()
	bad := &wire.Deposit{}
	if err := errors.Join(m.Send(context.Background(), bad), m.Offer(bad)); !errors.Is(err, wire.ErrMessage) {
		t.Fatalf("err = %v", err)
	}
}

func TestConnLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	m, n := w.initiate(a, r, w.serve(r))
	if m.err != nil || n.err != nil {
		t.Fatal(m.err, n.err)
	}
	m.conn.Close()
	n.conn.Abort()
	a.host.Close()
	r.host.Close()
	goleak.VerifyNone(t, before)
}

func TestNonceCache(t *testing.T) {
	t.Parallel()
	c, p, other := NewNonceCache(), peer.ID("p"), peer.ID("q")
	nonce := func(i int) wire.Nonce { return wire.Nonce(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 16)) }
	use := func(p peer.ID, i int, now time.Time, want error) {
		t.Helper()
		if err := c.Use(p, nonce(i), now); !errors.Is(err, want) {
			t.Errorf("nonce %d: %v, want %v", i, err, want)
		}
	}
	for i := range noncesPerPeer {
		use(p, i, base, nil)
	}
	use(p, 0, base, ErrReplay)
	use(p, noncesPerPeer, base, ErrTooMany)
	use(other, 0, base, nil) // one peer's nonces take no room of another's
	use(p, 0, base.Add(2*MaxSkew), ErrReplay)
	use(p, 0, base.Add(-time.Hour), ErrReplay) // a clock that jumped back
	use(p, noncesPerPeer, base.Add(nonceMemory+time.Second), nil)
	if n := len(c.peers[p]); n != 1 {
		t.Errorf("%d nonces are remembered, want 1", n)
	}
	use(peer.ID("r"), 0, base.Add(time.Hour), nil)
	if len(c.peers) != 1 {
		t.Errorf("%d peers are remembered, want 1", len(c.peers))
	}
}

func TestNonceCacheRace(t *testing.T) {
	t.Parallel()
	c := NewNonceCache()
	var wg sync.WaitGroup
	wins := make(chan struct{}, 64)
	start := make(chan struct{})
	for range 64 {
		wg.Go(func() {
			<-start
			if c.Use("p", wire.Nonce{1}, base) == nil {
				wins <- struct{}{}
			}
		})
	}
	close(start)
	wg.Wait()
	if len(wins) != 1 {
		t.Fatalf("%d won", len(wins))
	}
}
