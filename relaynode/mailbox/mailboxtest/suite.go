// Package mailboxtest is the conformance suite that every mailbox.Store has to pass.
//
// Run makes the store anew for each test and, when the test is over, has it compare its books with what lies in it.
// Only tests import this package.
package mailboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
	"conclave/relaynode/mailbox"
)

// Open makes an empty store for one test and arranges for it to be closed.
type Open func(t testing.TB, limits func() mailbox.Limits) mailbox.Store

// Names of peers in tests. A store does not look into them.
const (
	A = peer.ID("peer A")
	B = peer.ID("peer B")
	C = peer.ID("peer C")
)

// Start is the time at which tests begin.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Order": testOrder, "Paging": testPaging, "Duplicates": testDuplicates, "Acknowledge": testAcknowledge,
		"Shape": testShape, "Quotas": testQuotas, "Flood": testFlood, "Expiry": testExpiry, "Forget": testForget,
		"Copies": testCopies, "Cancelled": testCancelled, "Concurrent": testConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// box is a store under test whose calls must succeed.
type box struct {
	*testing.T
	s mailbox.Store
}

func newBox(t *testing.T, open Open, limits mailbox.Limits) box {
	t.Helper()
	s := open(t, mailbox.Fixed(limits))
	t.Cleanup(func() {
		if err := s.Check(context.Background()); err != nil {
			t.Errorf("the store contradicts itself: %v", err)
		}
	})
	return box{t, s}
}

// mail is a control mail that says text.
func mail(to peer.ID, text string) wire.MailItem {
	return wire.MailItem{To: to, Kind: wire.KindControl, Payload: []byte(text)}
}

func (b box) deposit(from peer.ID, want wire.Verdict, items ...wire.MailItem) {
	b.Helper()
	b.depositAt(start, from, want, items...)
}

func (b box) depositAt(at time.Time, from peer.ID, want wire.Verdict, items ...wire.MailItem) {
	b.Helper()
	verdicts, err := b.s.Deposit(b.Context(), from, items, at)
	if err != nil {
		b.Fatalf("Deposit: %v", err)
	}
	if len(verdicts) != len(items) {
		b.Fatalf("%d verdicts for %d items", len(verdicts), len(items))
	}
	for i, v := range verdicts {
		if v != want {
			b.Errorf("item %d from %s: %v, want %v", i, from, v, want)
		}
	}
}

// pending fetches all pages and checks that their order is that of the deposits.
func (b box) pending(to peer.ID) []mailbox.Mail {
	b.Helper()
	var all []mailbox.Mail
	after := int64(0)
	for {
		page, err := b.s.Pending(b.Context(), to, after, 100)
		if err != nil {
			b.Fatalf("Pending: %v", err)
		}
		if len(page) == 0 {
			return all
		}
		for _, m := range page {
			if m.Seq <= after {
				b.Errorf("Seq %d after %d", m.Seq, after)
			}
			if m.ID != wire.MailIDOf(m.From, to, m.Kind, m.Payload) {
				b.Errorf("mail %d has another mail's ID", m.Seq)
			}
			after = m.Seq
		}
		all = append(all, page...)
	}
}

func (b box) wantPending(to peer.ID, want ...string) {
	b.Helper()
	var got []string
	for _, m := range b.pending(to) {
		got = append(got, string(m.Payload))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("pending for %s (-want +got):\n%s", to, diff)
	}
}

func (b box) acknowledge(to peer.ID, want int, ids ...wire.MailID) {
	b.Helper()
	if n, err := b.s.Acknowledge(b.Context(), to, ids); err != nil || n != want {
		b.Errorf("Acknowledge: %d, %v; want %d", n, err, want)
	}
}

// idOf is the ID of a mail made by mail.
func idOf(from, to peer.ID, text string) wire.MailID {
	return wire.MailIDOf(from, to, wire.KindControl, []byte(text))
}

func testOrder(t *testing.T, open Open) {
	b := newBox(t, open, mailbox.DefaultLimits(3))
	b.wantPending(A)
	b.deposit(A, wire.VerdictStored, mail(C, "1"), mail(B, "2"), mail(C, "3"))
	b.deposit(B, wire.VerdictStored, mail(C, "4"))
	b.deposit(A, wire.VerdictStored, mail(C, "5"))
	b.wantPending(C, "1", "3", "4", "5")
	b.wantPending(C, "1", "3", "4", "5") // reading does not delete
	b.wantPending(B, "2")
	first := b.pending(C)[0]
	if first.From != A || first.Kind != wire.KindControl {
		t.Errorf("the first mail is %v from %s", first.Kind, first.From)
	}
	b.acknowledge(C, 1, idOf(B, C, "4"))
	b.wantPending(C, "1", "3", "5")
	b.deposit(B, wire.VerdictStored, mail(C, "6"))
	b.wantPending(C, "1", "3", "5", "6")
	stats, err := b.s.Stats(t.Context())
	want := mailbox.Stats{Quota: mailbox.Quota{Items: 5, Bytes: 5}, Recipients: 2, Senders: 2}
	if err != nil || stats != want {
		t.Errorf("Stats: %+v, %v; want %+v", stats, err, want)
	}
}

func testPaging(t *testing.T, open Open) {
	b := newBox(t, open, mailbox.DefaultLimits(3))
	var want []string
	for i := range 250 {
		want = append(want, fmt.Sprint(i))
		b.deposit(A, wire.VerdictStored, mail(B, want[i]))
	}
	b.wantPending(B, want...)
	page, err := b.s.Pending(t.Context(), B, 0, 7)
	if err != nil || len(page) != 7 {
		t.Fatalf("a page of 7 has %d mails, %v", len(page), err)
	}
	if next, err := b.s.Pending(t.Context(), B, page[6].Seq, 1); err != nil || len(next) != 1 || string(next[0].Payload) != "7" {
		t.Errorf("after 7 mails: %v, %v", next, err)
	}
	for i := range 20 {
		b.deposit(B, wire.VerdictStored, mail(C, string(bytes.Repeat([]byte{byte(i)}, 60<<10))))
	}
	if page, err := b.s.Pending(t.Context(), C, 0, 100); err != nil || len(page) == 0 || len(page) >= 20 {
		t.Errorf("a page of 20 large mails has %d, %v; want some, not all", len(page), err)
	}
	if n := len(b.pending(C)); n != 20 {
		t.Errorf("all pages hold %d large mails, want 20", n)
	}
}

func testDuplicates(t *testing.T, open Open) {
	b := newBox(t, open, mailbox.DefaultLimits(3))
	b.deposit(A, wire.VerdictStored, mail(C, "x"))
	b.deposit(A, wire.VerdictDuplicate, mail(C, "x"), mail(C, "x"))
	b.deposit(B, wire.VerdictStored, mail(C, "x")) // another sender's
	b.deposit(A, wire.VerdictStored, mail(B, "x")) // for somebody else
	b.deposit(A, wire.VerdictStored, wire.MailItem{To: C, Kind: wire.KindShare, Payload: []byte("x")})
	b.wantPending(C, "x", "x", "x")
	verdicts, err := b.s.Deposit(t.Context(), A, []wire.MailItem{mail(C, "y"), mail(C, "y")}, start)
	if err != nil || !cmp.Equal(verdicts, []wire.Verdict{wire.VerdictStored, wire.VerdictDuplicate}) {
		t.Errorf("twice in one deposit: %v, %v", verdicts, err)
	}
	b.acknowledge(C, 1, idOf(A, C, "x"))
	b.deposit(A, wire.VerdictStored, mail(C, "x")) // its recipient may have lost it since
	b.wantPending(C, "x", "x", "y", "x")
}

func testAcknowledge(t *testing.T, open Open) {
	b := newBox(t, open, mailbox.DefaultLimits(3))
	b.deposit(A, wire.VerdictStored, mail(C, "1"), mail(C, "2"), mail(B, "3"))
	b.acknowledge(B, 0, idOf(A, C, "1")) // not B's
	b.acknowledge(A, 0, idOf(A, C, "1")) // not the sender's either
	b.acknowledge(C, 0)
	b.acknowledge(C, 0, idOf(A, C, "no such mail"), wire.MailID{})
	b.wantPending(C, "1", "2")
	b.acknowledge(C, 2, idOf(A, C, "2"), idOf(A, B, "3"), idOf(A, C, "1"), idOf(A, C, "1"))
	b.acknowledge(C, 0, idOf(A, C, "1"))
	b.wantPending(C)
	b.wantPending(B, "3")
}

func testShape(t *testing.T, open Open) {
	limits := mailbox.DefaultLimits(3)
	limits.Item = 16 << 10
	b := newBox(t, open, limits)
	share := func(n int) wire.MailItem {
		return wire.MailItem{To: B, Kind: wire.KindShare, Payload: make([]byte, n)}
	}
	b.deposit(A, wire.VerdictMalformed, wire.MailItem{To: B, Kind: 9, Payload: []byte("x")}, wire.MailItem{To: B, Payload: []byte("x")}, mail(B, ""))
	b.deposit(A, wire.VerdictTooLarge, share(wire.MaxShareEnvelope+1), mail(B, string(make([]byte, limits.Item+1))))
	b.wantPending(B)
	b.deposit(A, wire.VerdictStored, share(wire.MaxShareEnvelope), mail(B, string(make([]byte, limits.Item))))
	b.deposit(A, wire.VerdictStored) // no items at all
}

// testQuotas sets each limit in turn so low that it, and no other, refuses.
func testQuotas(t *testing.T, open Open) {
	wide := mailbox.Quota{Items: 1000, Bytes: 1 << 20}
	for _, narrow := range []mailbox.Quota{{Items: 2, Bytes: 1 << 20}, {Items: 1000, Bytes: 8}} {
		for _, c := range []struct {
			name        string
			set         func(*mailbox.Limits)
			verdict     wire.Verdict
			hits, spare []line // which deposits are refused when two mails from A to B are here, and which are not
		}{
			{"pair", func(l *mailbox.Limits) { l.Pair = narrow }, wire.VerdictOverSenderQuota, []line{{A, B}}, []line{{A, C}, {C, B}, {B, A}}},
			{"sender", func(l *mailbox.Limits) { l.Sender = narrow }, wire.VerdictOverSenderQuota, []line{{A, B}, {A, C}}, []line{{C, B}, {B, A}}},
			{"recipient", func(l *mailbox.Limits) { l.Recipient = narrow }, wire.VerdictOverMailboxQuota, []line{{A, B}, {C, B}}, []line{{A, C}, {B, A}}},
			{"total", func(l *mailbox.Limits) { l.Total = narrow }, wire.VerdictOverStoreQuota, []line{{A, B}, {A, C}, {C, B}, {B, A}}, nil},
		} {
			t.Run(fmt.Sprintf("%s %+v", c.name, narrow), func(t *testing.T) {
				limits := mailbox.Limits{Item: 1 << 10, Pair: wide, Sender: wide, Recipient: wide, Total: wide, TTL: time.Hour}
				c.set(&limits)
				b := newBox(t, open, limits)
				b.deposit(A, wire.VerdictStored, mail(B, "4444"), mail(B, "4445"))
				for _, l := range c.hits {
					b.deposit(l.from, c.verdict, mail(l.to, "more"))
				}
				b.deposit(A, wire.VerdictDuplicate, mail(B, "4444")) // takes no room
				for _, l := range c.spare {
					b.deposit(l.from, wire.VerdictStored, mail(l.to, "spare"))
				}
				b.acknowledge(B, 1, idOf(A, B, "4444"))
				for _, l := range c.hits[:1] {
					b.deposit(l.from, wire.VerdictStored, mail(l.to, "more"))
				}
				if got := string(b.pending(B)[0].Payload); got != "4445" {
					t.Errorf("the oldest mail is %q: something was evicted", got)
				}
			})
		}
	}
}

// line is a deposit's direction.
type line struct{ from, to peer.ID }

// testFlood lets one member deposit all it can to everybody, and then the others still find their full room.
func testFlood(t *testing.T, open Open) {
	const members = 4
	limits := mailbox.Limits{
		Item: 1 << 10, TTL: time.Hour,
		Pair: mailbox.Quota{Items: 5, Bytes: 500}, Sender: mailbox.Quota{Items: 12, Bytes: 1200},
		Recipient: mailbox.Quota{Items: 20, Bytes: 2000}, Total: mailbox.Quota{Items: 48, Bytes: 4800},
	}
	if err := limits.Fair(members); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, open, limits)
	refused := 0
	for i := range 50 {
		for _, to := range []peer.ID{B, C, "peer D"} {
			verdicts, err := b.s.Deposit(t.Context(), A, []wire.MailItem{mail(to, fmt.Sprint("flood ", i))}, start)
			if err != nil {
				t.Fatal(err)
			}
			if verdicts[0] == wire.VerdictOverSenderQuota {
				refused++
			}
		}
	}
	if refused != 150-12 {
		t.Errorf("%d of the flood were refused by the sender's quota, want %d", refused, 150-12)
	}
	for i := range 5 {
		for _, from := range []peer.ID{B, C, "peer D"} {
			for _, to := range []peer.ID{A, B} {
				if from != to {
					b.deposit(from, wire.VerdictStored, mail(to, fmt.Sprint("honest ", i)))
				}
			}
		}
	}
}

func testExpiry(t *testing.T, open Open) {
	limits := mailbox.DefaultLimits(3)
	limits.TTL = time.Hour
	b := newBox(t, open, limits)
	expire := func(at time.Duration, want int) {
		t.Helper()
		if n, err := b.s.Expire(t.Context(), start.Add(at)); err != nil || n != want {
			t.Errorf("Expire after %v: %d, %v; want %d", at, n, err, want)
		}
	}
	b.deposit(A, wire.VerdictStored, mail(B, "old"))
	b.depositAt(start.Add(time.Minute), A, wire.VerdictStored, mail(B, "young"))
	b.depositAt(start.Add(2*time.Minute), A, wire.VerdictDuplicate, mail(B, "old")) // does not live longer by that
	expire(time.Hour-time.Millisecond, 0)
	b.wantPending(B, "old", "young")
	expire(time.Hour, 1)
	b.wantPending(B, "young")
	b.depositAt(start.Add(time.Hour), A, wire.VerdictStored, mail(B, "old"))
	expire(3*time.Hour, 2)
	b.wantPending(B)
}

func testForget(t *testing.T, open Open) {
	b := newBox(t, open, mailbox.DefaultLimits(3))
	b.deposit(A, wire.VerdictStored, mail(B, "1"), mail(B, "2"), mail(C, "3"))
	b.deposit(B, wire.VerdictStored, mail(C, "4"))
	if n, err := b.s.Forget(t.Context(), B); err != nil || n != 2 {
		t.Errorf("Forget: %d, %v; want 2", n, err)
	}
	b.wantPending(B)
	b.wantPending(C, "3", "4") // what B sent stays
}

func testCopies(t *testing.T, open Open) {
	b := newBox(t, open, mailbox.DefaultLimits(3))
	item := mail(B, "mine")
	b.deposit(A, wire.VerdictStored, item)
	copy(item.Payload, "your")
	b.wantPending(B, "mine")
	copy(b.pending(B)[0].Payload, "your")
	b.wantPending(B, "mine")
}

func testCancelled(t *testing.T, open Open) {
	b := newBox(t, open, mailbox.DefaultLimits(3))
	b.deposit(A, wire.VerdictStored, mail(B, "here"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err1 := b.s.Deposit(ctx, A, []wire.MailItem{mail(B, "late")}, start)
	_, err2 := b.s.Pending(ctx, B, 0, 10)
	_, err3 := b.s.Acknowledge(ctx, B, []wire.MailID{idOf(A, B, "here")})
	_, err4 := b.s.Expire(ctx, start.Add(1000*time.Hour))
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d with a cancelled context: %v", i+1, err)
		}
	}
	b.wantPending(B, "here")
}

// testConcurrent has many senders deposit while the recipient fetches; every mail comes once, in its sender's order.
func testConcurrent(t *testing.T, open Open) {
	const senders, each = 8, 40
	b := newBox(t, open, mailbox.DefaultLimits(senders+1))
	var deposits sync.WaitGroup
	for s := range senders {
		deposits.Go(func() {
			from := peer.ID(fmt.Sprint("sender ", s))
			for i := range each {
				item := mail(B, fmt.Sprint(s, " ", i))
				for range 2 { // once more: no failure, no second mail
					if v, err := b.s.Deposit(t.Context(), from, []wire.MailItem{item}, start); err != nil || !v[0].Accepted() {
						t.Errorf("Deposit: %v, %v", v, err)
					}
				}
			}
		})
	}
	seen := map[wire.MailID]bool{}
	next := map[peer.ID]int{}
	after := int64(0)
	done := make(chan struct{})
	go func() { deposits.Wait(); close(done) }()
	for over := false; ; {
		page, err := b.s.Pending(t.Context(), B, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 && over {
			break
		}
		for _, m := range page {
			after = m.Seq
			if want := fmt.Sprint(string(m.From)[len("sender "):], " ", next[m.From]); seen[m.ID] || string(m.Payload) != want {
				t.Errorf("from %s came %q, want %q (seen before: %v)", m.From, m.Payload, want, seen[m.ID])
			}
			seen[m.ID] = true
			next[m.From]++
		}
		select {
		case <-done:
			over = len(page) == 0
		default:
		}
	}
	if len(seen) != senders*each {
		t.Errorf("%d mails arrived, want %d", len(seen), senders*each)
	}
}
