package session

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"

	"github.com/libp2p/go-libp2p/core/network"
)

func TestHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	m, n := w.initiate(a, r, w.serve(r))
	if m.err != nil || n.err != nil {
		t.Fatalf("handshake: %v, %v", m.err, n.err)
	}
	if got := n.conn.Remote(); got.Role != "A" || got.Kind != pki.KindMember || n.conn.Peer() != a.host.ID() {
		t.Errorf("the relay node sees %s %q, peer %s", got.Kind, got.Role, n.conn.Peer())
	}
	if got := m.conn.Remote(); got.Kind != pki.KindRelay || m.conn.Peer() != r.host.ID() {
		t.Errorf("the member sees %s %q, peer %s", got.Kind, got.Role, m.conn.Peer())
	}
	if m.conn.Database() != r.cfg.Database || n.conn.Database() != r.cfg.Database {
		t.Error("the database's ID differs")
	}
	if m.conn.RemoteRosterVersion() != w.Roster.Version || n.conn.RemoteRosterVersion() != w.Roster.Version {
		t.Error("the roster's version differs")
	}
}

// TestReplayedConversation: what A said in a whole handshake is refused when A's connection says it again, by its nonce, and
// by the relay node's new nonce when the relay node has forgotten A's.
func TestReplayedConversation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forgets bool
		want    error
	}{"remembered": {false, ErrReplay}, "forgotten": {true, ErrSignature}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, r := w.member("A"), w.relay(0)
			results := w.serve(r)
			recorded := w.record(a, r, results)
			if c.forgets {
				r.cfg.Nonces = NewNonceCache()
			}
			if got := w.replay(a, r, recorded, results); !errors.Is(got.err, c.want) {
				t.Errorf("err = %v, want %v", got.err, c.want)
			}
		})
	}
}

// TestReplayByAnotherPeer: what A said is worth nothing on B's connection, whatever is remembered.
func TestReplayByAnotherPeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, r := w.member("A"), w.member("B"), w.relay(0)
	results := w.serve(r)
	hello := recordHello(t, w, a, r)
	if replied, got := w.greet(b, r, hello, results); replied || !errors.Is(got.err, ErrSignature) {
		t.Errorf("replied: %v, err = %v", replied, got.err)
	}
	if replied, _ := w.greet(a, r, hello, results); !replied {
		t.Error("A's own hello is refused")
	}
}

// TestHelloForAnotherRelayNode: a hello names the relay node that it is for.
func TestHelloForAnotherRelayNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, one, other := w.member("A"), w.relay(0), w.relay(1)
	if replied, got := w.greet(a, other, recordHello(t, w, a, one), w.serve(other)); replied || !errors.Is(got.err, ErrSignature) {
		t.Errorf("replied: %v, err = %v", replied, got.err)
	}
}

// TestOneNonceManyTimesAtOnce: of many conversations with one nonce, one comes as far as its finish.
func TestOneNonceManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	const streams = 64
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	recorded := w.record(a, r, w.serve(r))
	r.cfg.Nonces = NewNonceCache() // as if it had remembered nothing
	results := w.serve(r)
	open := make([]network.Stream, streams)
	for i := range open {
		open[i] = w.dial(a, r)
	}
	start := make(chan struct{})
	for _, s := range open {
		go func() {
			<-start
			_, _ = s.Write(recorded)
			_, _ = io.Copy(io.Discard, s)
		}()
	}
	close(start)
	wins := 0
	for range open {
		switch got := w.wait(results); {
		case errors.Is(got.err, ErrSignature):
			wins++
		case !errors.Is(got.err, ErrReplay):
			t.Errorf("err = %v", got.err)
		}
	}
	if wins != 1 {
		t.Errorf("%d hellos were replied to, want 1", wins)
	}
}

// sameBytes is a source of nonces that are all the same.
type sameBytes struct{}

func (sameBytes) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte{7}, len(b))), nil }

// TestRelaysNonceIsUsedOnce: a relay node whose nonces come again is refused by the member.
func TestRelaysNonceIsUsedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	r.cfg.Rand = sameBytes{}
	results := w.serve(r)
	if m, n := w.initiate(a, r, results); m.err != nil || n.err != nil {
		t.Fatalf("the first time: %v, %v", m.err, n.err)
	}
	if m, n := w.initiate(a, r, results); !errors.Is(m.err, ErrReplay) || n.err == nil {
		t.Errorf("the second time: %v, %v", m.err, n.err)
	}
}

func at(d time.Duration) func() time.Time { return func() time.Time { return base.Add(d) } }
func ms(n int64) func() time.Time         { return func() time.Time { return time.UnixMilli(n) } }

var clocks = map[string]struct {
	now func() time.Time
	ok  bool
}{
	"61 s behind":     {at(-61 * time.Second), false},
	"1 ms too late":   {at(-60001 * time.Millisecond), false},
	"60 s behind":     {at(-60 * time.Second), true},
	"equal":           {at(0), true},
	"60 s ahead":      {at(60 * time.Second), true},
	"1 ms too early":  {at(60001 * time.Millisecond), false},
	"61 s ahead":      {at(61 * time.Second), false},
	"1970":            {ms(0), false},
	"before 1970":     {ms(-1), false},
	"year 9999":       {func() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
	"the last moment": {ms(math.MaxInt64), false},
	"the first":       {ms(math.MinInt64), false},
}

// TestRelayChecksTheClock: the relay node refuses, and the member is told by how much, with the right sign.
func TestRelayChecksTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	results := w.serve(r)
	for name, c := range clocks {
		t.Run(name, func(t *testing.T) {
			a.cfg.Now = c.now
			m, n := w.initiate(a, r, results)
			if c.ok {
				if m.err != nil || n.err != nil {
					t.Fatalf("refused: %v, %v", m.err, n.err)
				}
				return
			}
			var here, there *SkewError
			if !errors.As(n.err, &here) || !errors.As(m.err, &there) || !there.Told {
				t.Fatalf("refused with %v, %v", n.err, m.err)
			}
			if sign := c.now().Compare(base); sign != cmpSign(here.Skew) || sign != -cmpSign(there.Skew) {
				t.Errorf("clock %d: skew %s and %s", sign, here.Skew, there.Skew)
			}
			if name == "61 s ahead" && !strings.Contains(m.err.Error(), "1m1s behind this one's") {
				t.Errorf("the error does not name the skew: %v", m.err)
			}
		})
	}
}

func cmpSign(d time.Duration) int {
	switch {
	case d < 0:
		return -1
	case d > 0:
		return 1
	}
	return 0
}

// TestMemberChecksTheClock: the same when the relay node's clock is wrong.
func TestMemberChecksTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	for name, c := range clocks {
		t.Run(name, func(t *testing.T) {
			// The certificates are valid between 1999 and 2099, and the relay node verifies at its own time: lie
			// only in what is told, which is asked for first.
			asked := 0
			r.cfg.Now = func() time.Time {
				if asked++; asked == 4 { // 1 skew, 2 certificate, 3 nonce, 4 reply
					return c.now()
				}
				return base
			}
			m, n := w.initiate(a, r, w.serve(r))
			var skewed *SkewError
			switch {
			case c.ok && (m.err != nil || n.err != nil):
				t.Fatalf("refused: %v, %v", m.err, n.err)
			case !c.ok && (!errors.As(m.err, &skewed) || skewed.Told || n.err == nil):
				t.Fatalf("refused with %v, %v", m.err, n.err)
			}
		})
	}
}

// TestForwardedHello: a relay node in the middle hands everything on, both ways, between A and another relay node.
func TestForwardedHello(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, middle, victim := w.member("A"), w.relay(0), w.relay(1)
	results := w.serve(victim)
	middle.host.SetStreamHandler(overlay.SessionProtocol, func(s network.Stream) {
		onward := w.dial(middle, victim)
		go func() {
			_, _ = io.Copy(s, onward)
			_ = s.Reset()
		}()
		_, _ = io.Copy(onward, s)
	})
	if m, n := w.initiate(a, middle, results); !errors.Is(n.err, ErrSignature) || m.err == nil {
		t.Fatalf("err = %v, %v", n.err, m.err)
	}
}

func TestAnotherMembersCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, r := w.member("B"), w.relay(0)
	b.cfg.Cert = w.Member("A").Cert.DER
	m, n := w.initiate(b, r, w.serve(r))
	if !errors.Is(n.err, ErrCertificate) || !errors.Is(n.err, pki.ErrOtherPeer) {
		t.Fatalf("err = %v", n.err)
	}
	var refused *RefusedError
	if !errors.As(m.err, &refused) || refused.Refusal.Code != wire.RefusedProfile {
		t.Fatalf("the member is told %v", m.err)
	}
}

// TestMemberIsNoRelay: a member that answers on the session protocol is not taken for a relay node.
func TestMemberIsNoRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("A"), w.member("B")
	if m, _ := w.initiate(a, b, w.serve(b)); !errors.Is(m.err, ErrCertificate) {
		t.Fatalf("err = %v", m.err)
	}
	r1, r2 := w.relay(0), w.relay(1)
	if _, n := w.initiate(r1, r2, w.serve(r2)); !errors.Is(n.err, ErrCertificate) {
		t.Fatalf("err = %v", n.err)
	}
}

// TestStrangerLearnsNothing: not one byte comes back, whatever he says.
func TestStrangerLearnsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger, r := w.outsider(), w.relay(0)
	results := w.serve(r)
	hello := recordHello(t, w, stranger, r)
	for name, said := range map[string][]byte{"a hello": hello, "noise": bytes.Repeat([]byte{0x7f}, 300), "a huge length": {0xff, 0xff, 0xff, 0x7f, 1}} {
		s := w.dial(stranger, r)
		if _, err := s.Write(said); err != nil {
			t.Fatal(err)
		}
		if heard, err := io.ReadAll(s); len(heard) > 0 || err == nil {
			t.Errorf("after %s he hears %d bytes and %v", name, len(heard), err)
		}
		if got := w.wait(results); got.err == nil {
			t.Errorf("after %s he is let in", name)
		}
	}
}

func recordHello(t testing.TB, w *world, from, to *side) []byte {
	t.Helper()
	h := &handshake{Config: from.cfg, local: from.host.ID(), remote: to.host.ID()}
	b, err := wire.AppendMessage(nil, h.hello(wire.Nonce{1}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestChangedHello: every part of a hello is bound by its signature.
func TestChangedHello(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	results := w.serve(r)
	m, err := wire.ReadMessage(bufio.NewReader(bytes.NewReader(recordHello(t, w, a, r))))
	if err != nil {
		t.Fatal(err)
	}
	good := *m.(*wire.Hello)
	say := func(h wire.Hello) (replied bool, got result) {
		b, err := wire.AppendMessage(nil, &h)
		if err != nil {
			t.Fatal(err)
		}
		return w.greet(a, r, b, results)
	}
	for name, change := range map[string]func(*wire.Hello){
		"nonce":     func(h *wire.Hello) { h.Nonce[0]++ },
		"time":      func(h *wire.Hello) { h.TimeMs++ },
		"signature": func(h *wire.Hello) { h.Signature = bytes.Clone(h.Signature); h.Signature[5] ^= 1 },
	} {
		bad := good
		change(&bad)
		if replied, got := say(bad); replied || !errors.Is(got.err, ErrSignature) {
			t.Errorf("%s: replied: %v, err = %v", name, replied, got.err)
		}
	}
	if replied, got := say(good); !replied {
		t.Errorf("unchanged: err = %v", got.err)
	}
	good.Protocol++
	if replied, got := say(good); replied || !errors.Is(got.err, ErrVersion) {
		t.Errorf("version: replied: %v, err = %v", replied, got.err)
	}
}

// TestOldReply: a relay node's recorded answer does not fit a new hello, because it covers the member's nonce.
func TestOldReply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	answers := make(chan []byte, 1)
	r.host.SetStreamHandler(overlay.SessionProtocol, func(s network.Stream) {
		rec := &recorder{Stream: s}
		if _, err := Accept(context.Background(), rec, r.cfg); err != nil {
			t.Error(err)
		}
		answers <- rec.written.Bytes()
	})
	if _, err := Initiate(context.Background(), w.dial(a, r), a.cfg); err != nil {
		t.Fatal(err)
	}
	recorded := <-answers
	r.host.SetStreamHandler(overlay.SessionProtocol, func(s network.Stream) { _, _ = s.Write(recorded) })
	a.cfg.Nonces = NewNonceCache() // as if it had remembered nothing
	if _, err := Initiate(context.Background(), w.dial(a, r), a.cfg); !errors.Is(err, ErrSignature) {
		t.Fatalf("err = %v", err)
	}
}

// TestSilentPeer says nothing, or one byte at a time, and is reset when the handshake's time is over.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	for name, dripping := range map[string]bool{"mute": false, "dripping": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, r := w.member("A"), w.relay(0)
			r.cfg.Timeout = 300 * time.Millisecond
			results := w.serve(r)
			defer w.drip(a, r, dripping)()
			select {
			case got := <-results:
				if got.err == nil {
					t.Error("let in")
				}
			case <-time.After(5 * time.Second):
				t.Error("it is waited for without end")
			}
		})
	}
	cfg := newWorld(t).member("A").cfg
	if err := cfg.complete(); err != nil || cfg.Timeout != 10*time.Second {
		t.Errorf("by default a handshake may take %s: %v", cfg.Timeout, err)
	}
}

// drip says the first byte of a hello (negotiation is lazy: it opens the stream), and then nothing more or one byte at a
// time, until it is stopped.
func (w *world) drip(from, to *side, on bool) (stop func()) {
	s, hello := w.dial(from, to), recordHello(w.t, w, from, to)
	ctx, cancel := context.WithCancel(w.t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for _, b := range hello {
			if _, err := s.Write([]byte{b}); err != nil || !on {
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); _ = s.Reset(); group.Wait() }
}

// TestHelloBringsRoster: a member that only a newer roster knows brings that roster along.
func TestHelloBringsRoster(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.relay(0)
			current := w.Roster
			r.cfg.Roster = func() *pki.Roster { return current }
			if take {
				r.cfg.OfferRoster = func(envelope []byte) error {
					next, err := pki.OpenRoster(w.Group.Group, envelope, base)
					if err == nil {
						current = next
					}
					return err
				}
			}
			newcomer := w.AddMember("D")
			w.Reissue(func(d *authority.Draft) { d.SetMember(newcomer.Cert) })
			d := w.side(newcomer.Identity, newcomer.Cert)
			d.cfg.AttachRoster = true
			_, n := w.initiate(d, r, w.serve(r))
			if take && n.err != nil || !take && !errors.Is(n.err, ErrNotAdmitted) {
				t.Fatalf("err = %v", n.err)
			}
		})
	}
}

// TestReplyBringsRoster: a member with an old roster is given the newer one.
func TestReplyBringsRoster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.member("A")
	w.Reissue(nil)
	r := w.relay(0)
	var offered []byte
	a.cfg.OfferRoster = func(envelope []byte) error { offered = envelope; return nil }
	if m, n := w.initiate(a, r, w.serve(r)); m.err != nil || n.err != nil {
		t.Fatalf("handshake: %v, %v", m.err, n.err)
	}
	if !bytes.Equal(offered, w.Roster.Envelope) {
		t.Fatalf("offered %d bytes, want %d", len(offered), len(w.Roster.Envelope))
	}
}

// TestRemovedMember: the certificate is still valid, the roster decides.
func TestRemovedMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.member("A")
	w.Reissue(func(d *authority.Draft) {
		if err := d.RemoveMember("A"); err != nil {
			t.Error(err)
		}
	})
	r := w.relay(0)
	if m, n := w.initiate(a, r, w.serve(r)); !errors.Is(n.err, ErrNotAdmitted) || m.err == nil {
		t.Fatalf("err = %v, %v", n.err, m.err)
	}
}

func TestCancelledHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	r.host.SetStreamHandler(overlay.SessionProtocol, func(network.Stream) {})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Initiate(ctx, w.dial(a, r), a.cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	w.serve(r)
	if _, err := Initiate(context.Background(), w.dial(a, r), Config{}); err == nil {
		t.Fatal("an empty configuration is accepted")
	}
}
