package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/door"

	"github.com/libp2p/go-libp2p/core/peer"
)

// conn is a session whose peer says what a test gives it, and may not read.
type conn struct {
	said []wire.Message
	got  []wire.Message
	deaf bool
}

// Receive implements Conn.
func (c *conn) Receive() (wire.Message, error) {
	if len(c.said) == 0 {
		return nil, io.EOF
	}
	m := c.said[0]
	c.said = c.said[1:]
	return m, nil
}

// Send implements Conn.
func (c *conn) Send(ctx context.Context, m wire.Message) error {
	if c.deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	c.got = append(c.got, m)
	return nil
}

// rates returns the rates of a member that may make that many requests a second.
func rates(requests float64) *door.Rates {
	return door.New(door.Config{
		Roster: func() *pki.Roster { return &pki.Roster{} }, HasSession: func(peer.ID) bool { return true }, Count: func(string) {},
		Log: slog.New(slog.DiscardHandler), Limits: door.Limits{Admission: time.Second, Requests: requests, Bytes: 100, Fetches: 100},
	}).MemberRates("A")
}

// TestRequestsAreAnsweredInOrder has requests replied to, refused and left unanswered.
func TestRequestsAreAnsweredInOrder(t *testing.T) {
	ping := fmt.Sprintf("message 0x%02x", byte(wire.TypePing))
	for _, numbered := range []bool{false, true} {
		c := &conn{said: []wire.Message{
			&wire.Fetch{Seq: 1}, &wire.Store{}, &wire.Fetch{Seq: 2}, &wire.Deposit{Seq: 3}, &wire.RosterUpdate{}, &wire.DeliveryAck{}, &wire.Ping{},
		}}
		var refused []string
		l := &Loop{
			Conn: c, Rates: rates(100), Numbered: numbered, Patience: time.Second,
			Handle: func(_ context.Context, msg wire.Message) Verdict {
				switch msg := msg.(type) {
				case *wire.Fetch:
					if msg.Seq == 1 {
						return Verdict{Reply: &wire.Fetched{Seq: 1}}
					}
				case *wire.Store:
					return Verdict{}
				}
				return Verdict{Code: wire.RefusedFailed, Text: "because", Reason: errors.New("a secret")}
			},
			Refused: func(what string, v Verdict) { refused = append(refused, what+": "+v.Reason.Error()) },
		}
		if err := l.Listen(t.Context()); !errors.Is(err, io.EOF) {
			t.Fatalf("it ended with %v", err)
		}
		want := []string{"fetch: a secret", "deposit: a secret", "roster: a secret", "acknowledgement: a secret", ping + ": a secret"}
		if !slices.Equal(refused, want) {
			t.Errorf("refused %q, want %q", refused, want)
		}
		var seqs []uint64
		for _, m := range c.got[1:] {
			r, ok := m.(*wire.Refusal)
			if !ok || r.Code != wire.RefusedFailed || r.Text != "because" {
				t.Errorf("answered with %+v", m)
				continue
			}
			seqs = append(seqs, r.Seq)
		}
		all := []uint64{2, 3, 0, 0, 0}
		if numbered {
			all = all[:2]
		}
		if f, ok := c.got[0].(*wire.Fetched); !ok || f.Seq != 1 || !slices.Equal(seqs, all) {
			t.Errorf("answered with %+v, refusals %v, want %v", c.got[0], seqs, all)
		}
	}
}

// TestTooManyRequestsAreRefused has a peer ask faster than it may.
func TestTooManyRequestsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &conn{}
		for range 4 {
			c.said = append(c.said, &wire.Fetch{Seq: 7})
		}
		handled := 0
		l := &Loop{
			Conn: c, Rates: rates(0.1), Patience: time.Second, // one at once, the next after ten seconds
			Handle:  func(context.Context, wire.Message) Verdict { handled++; return Verdict{} },
			Refused: func(string, Verdict) {},
		}
		if err := l.Listen(t.Context()); !errors.Is(err, io.EOF) || handled != 1 || len(c.got) != 3 {
			t.Errorf("%v; %d handled, %d answers", err, handled, len(c.got))
		}
		for _, m := range c.got {
			if r, ok := m.(*wire.Refusal); !ok || r.Code != wire.RefusedLimit || r.Seq != 7 {
				t.Errorf("answered with %+v", m)
			}
		}
	})
}

// TestSlowPeerEndsTheLoop writes to a peer that does not read.
func TestSlowPeerEndsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := errors.New("slow")
		l := &Loop{Conn: &conn{deaf: true}, Patience: time.Second}
		if err := l.Send(t.Context(), &wire.Ping{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it failed with %v", err)
		}
		l.TooSlow = func() error { return slow }
		began := time.Now()
		if err := l.Send(t.Context(), &wire.Ping{}); !errors.Is(err, slow) || time.Since(began) != time.Second {
			t.Errorf("it failed with %v after %v", err, time.Since(began))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Send(ended, &wire.Ping{}); errors.Is(err, slow) {
			t.Error("a session that has ended counts as slow")
		}
	})
}

// TestRangeNamesASigner refuses what cannot be fetched.
func TestRangeNamesASigner(t *testing.T) {
	r := rates(1)
	msg := &wire.Fetch{Seq: 1, Sender: 2, Start: 3, From: 4, To: 5}
	if got, v := Range(t.Context(), msg, r); v.Code != 0 || got.Sender != 2 || got.Start != 3 || got.From != 4 || got.To != 5 || got.Signer == "" {
		t.Errorf("the range is %+v, %+v", got, v)
	}
	msg.From = 6
	if _, v := Range(t.Context(), msg, r); v.Code != wire.RefusedMalformed {
		t.Errorf("an empty range: %+v", v)
	}
}
