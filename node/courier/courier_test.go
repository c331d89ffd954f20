package courier

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/overlay"
	"conclave/overlay/overlaytest"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// world is all that a courier sees: relay nodes, a topic, who is there, and the key agreement. Its owner is the test's
// goroutine, which calls turn.
type world struct {
	*Courier
	t *testing.T

	ready     bool
	full      bool
	number    uint64
	offered   []wire.Message
	reaches   bool
	published [][]byte
	online    map[wire.Role]bool
	listens   map[wire.Role]bool
	steps     []event.Input
	step      func(event.Input)
	passed    []Passage
	todo      chan func()
}

func (w *world) Ready() bool    { return w.ready }
func (w *world) Number() uint64 { w.number++; return w.number }
func (w *world) Acknowledge()   {}
func (w *world) Reaches() bool  { return w.reaches }
func (w *world) Offer(m wire.Message) bool {
	if !w.ready || w.full {
		return false
	}
	w.offered = append(w.offered, m)
	return true
}

func (w *world) PublishNow(_ context.Context, data []byte) error {
	w.published = append(w.published, data)
	return nil
}
func (w *world) Online(r wire.Role) bool  { return w.online[r] }
func (w *world) Listens(r wire.Role) bool { return w.listens[r] }
func (w *world) Heard(ed25519.PublicKey)  {}

// turn does one thing that was posted.
func (w *world) turn() {
	w.t.Helper()
	select {
	case f := <-w.todo:
		f()
	case <-time.After(overlaytest.Patience):
		w.t.Fatal("nothing is to be done")
	}
}

func newWorld(t *testing.T, g *pkitest.Group, role wire.Role) *world {
	t.Helper()
	w := &world{t: t, online: make(map[wire.Role]bool), listens: make(map[wire.Role]bool), todo: make(chan func(), 64)}
	roster := func() *pki.Roster { return g.Roster }
	w.Courier = New(Config{
		Identity: g.Member(string(role)).Identity, TopicName: "topic", Self: role, Roster: roster, Members: roster,
		Step: func(in event.Input) {
			w.steps = append(w.steps, in)
			if w.step != nil {
				w.step(in)
			}
		},
		Post: func(ctx context.Context, f func()) bool {
			select {
			case w.todo <- f:
				return true
			case <-ctx.Done():
				return false
			}
		},
		Relays: w, Presence: w, Dialable: func(peer.ID) {}, Passed: func(p Passage) { w.passed = append(w.passed, p) },
		Timing: Timing{CircuitAfter: time.Hour, CircuitLinger: time.Hour, ShareTimeout: overlaytest.Patience}, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// begin gives a world a host, on which share streams are served.
func (w *world) begin(h host.Host) {
	w.Begin(w.t.Context(), h, w)
	served := overlay.HandleStream(h, overlay.ShareProtocol, overlay.StreamLimits{
		Service: "test", Memory: wire.TypeShareMessage.MaxBody(), Deadline: overlaytest.Patience, Streams: 8,
	}, w.Serve, slog.New(slog.DiscardHandler))
	w.t.Cleanup(served.Close)
}

var parcel = event.Parcel{Epoch: wire.EpochID{1}, Of: "A", To: "B"}

// steps of a kind that the key agreement was given.
func of[T event.Input](w *world) (list []T) {
	for _, in := range w.steps {
		if in, ok := in.(T); ok {
			list = append(list, in)
		}
	}
	return list
}

// TestShareGoesBothWaysWhileThereIsNoCircuit hands over a share to a member that is present: without a connection to it
// the mailbox gets it at once and a circuit is begun a little later; with one the circuit alone carries it. What reached
// the mailbox already is not left there again when the circuit fails.
func TestShareGoesBothWaysWhileThereIsNoCircuit(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	a, b := newWorld(t, g, "A"), newWorld(t, g, "B")
	ah, bh := overlaytest.NewHost(t, g.Member("A").Identity), overlaytest.NewHost(t, g.Member("B").Identity)
	a.begin(ah)
	b.begin(bh)
	a.ready, a.online["B"] = true, true
	hand := func() (mailed, carried, begun bool) {
		a.mail = nil
		a.wrapping++
		a.wrapped(parcel, bh.ID(), []byte("an envelope"), nil)
		way := a.circuits.open[bh.ID()]
		return len(a.mail) == 1, way != nil && (way.busy || len(way.waiting) == 1), way != nil && way.busy
	}
	mailed, carried, begun := hand()
	if !mailed || !carried || begun || a.Deadline().IsZero() {
		t.Errorf("without a connection: mailbox %v, circuit %v, begun already %v; want both, the mailbox first", mailed, carried, begun)
	}
	delete(a.circuits.open, bh.ID())
	overlaytest.Connect(t, ah, bh)
	if mailed, _, begun = hand(); mailed || !begun {
		t.Errorf("with a connection: mailbox %v, circuit %v; want the circuit alone", mailed, begun)
	}
	b.turn() // the envelope arrives
	b.Settled(of[event.Envelope](b)[0].Ref)
	a.turn()
	a.Wait()

	c := New(Config{})
	c.remail([]letter{{mailed: true}, {}})
	if len(c.mail) != 1 || c.mail[0].mailed {
		t.Errorf("after a failed circuit %v goes into the mailbox", c.mail)
	}
}

// TestShareOverAStream hands shares over a stream: they count as delivered once the other side has settled them, up to the
// first that it has not; the rest goes by mailbox.
func TestShareOverAStream(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	a, b := newWorld(t, g, "A"), newWorld(t, g, "B")
	ah, bh := overlaytest.NewHost(t, g.Member("A").Identity), overlaytest.NewHost(t, g.Member("B").Identity)
	b.cfg.Timing.ShareTimeout = time.Second // for what it never settles
	a.begin(ah)
	b.begin(bh)
	overlaytest.Connect(t, ah, bh)
	a.online["B"] = true
	way := &circuit{}
	a.circuits.open[bh.ID()] = way
	for _, envelope := range []string{"one", "two", "three"} {
		l := letter{item: wire.MailItem{To: bh.ID(), Kind: wire.KindShare, Payload: []byte(envelope)}, parcel: parcel}
		l.parcel.Epoch[1] = envelope[0]
		way.waiting = append(way.waiting, l)
	}
	a.sendTo(bh.ID(), way)
	b.turn()
	got := of[event.Envelope](b)
	if len(got) != 3 || string(got[0].Raw) != "one" || len(b.passed) != 3 || !b.passed[0].Received || b.passed[0].Peer != "A" || b.passed[0].Way != ByDirect {
		t.Fatalf("B got %+v, %+v", got, b.passed)
	}
	b.Settled(got[2].Ref) // not the second
	b.Settled(got[0].Ref)
	a.turn()
	delivered := of[event.ShareDelivered](a)
	if len(delivered) != 1 || delivered[0].Parcel.Epoch[1] != 'o' || len(a.mail) != 2 || len(a.passed) != 1 || !a.passed[0].OK {
		t.Errorf("delivered %+v, %d go by mailbox, passed %+v", delivered, len(a.mail), a.passed)
	}
	b.turn() // it forgets what was not settled
	if len(b.refs.waiting) != 0 {
		t.Errorf("%d references are left", len(b.refs.waiting))
	}
}

// TestAttackOutsiderHandsOverShares has somebody who is not in the roster hand over envelopes.
func TestAttackOutsiderHandsOverShares(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	a := newWorld(t, g, "A")
	ah, evil := overlaytest.NewHost(t, g.Member("A").Identity), overlaytest.NewHost(t, pkitest.NewIdentity(t))
	a.begin(ah)
	overlaytest.Connect(t, evil, ah)
	ctx, cancel := context.WithTimeout(t.Context(), overlaytest.Patience)
	defer cancel()
	s, err := overlay.OpenStream(ctx, evil, ah.ID(), overlay.ShareProtocol)
	if err != nil {
		t.Fatal(err)
	}
	data, err := wire.AppendMessage(nil, &wire.ShareMessage{Items: [][]byte{[]byte("evil")}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(data)
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = wire.ReadMessage(bufio.NewReader(s), wire.TypeShareReply) }()
	select {
	case <-a.todo:
		t.Error("an outsider's envelope reached the key agreement")
	case <-ended:
	}
}

// TestDeposits leaves shares in the mailbox and has the relay node accept, refuse, not look at, and never answer them.
func TestDeposits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pkitest.NewGroup(t, "A", "B")
		w := newWorld(t, g, "A")
		w.Begin(t.Context(), nil, w)
		to := g.Member("B").Cert.Peer
		leave := func(n int) {
			for range n {
				w.mail = append(w.mail, letter{item: wire.MailItem{To: to, Kind: wire.KindShare, Payload: []byte("x")}, parcel: parcel})
			}
			w.mail = append(w.mail, letter{item: wire.MailItem{To: to, Kind: wire.KindControl, Payload: []byte("y")}})
			w.steps, w.offered = nil, nil
			w.Settle()
		}
		leave(2)
		if len(of[event.ShareFailed](w)) != 2 || len(w.mail) != 1 {
			t.Fatalf("without a relay node: %d shares given back, %d control mails kept", len(of[event.ShareFailed](w)), len(w.mail))
		}
		w.ready = true
		leave(2)
		d := w.offered[0].(*wire.Deposit)
		if len(w.offered) != 1 || len(d.Items) != 4 || len(w.mail) != 0 {
			t.Fatalf("%d requests, the first with %d items", len(w.offered), len(d.Items))
		}
		w.Deposited(&wire.DepositResult{Seq: d.Seq, Verdicts: make([]wire.Verdict, 3)}) // not an answer to it
		verdicts := slices.Repeat([]wire.Verdict{wire.VerdictMalformed}, 4)
		verdicts[1] = wire.VerdictStored
		w.Deposited(&wire.DepositResult{Seq: d.Seq, Verdicts: verdicts})
		if len(of[event.MailStored](w)) != 1 || len(of[event.ShareFailed](w)) != 1 {
			t.Errorf("answered: %+v", w.steps)
		}
		w.Deposited(&wire.DepositResult{Seq: d.Seq, Verdicts: verdicts})
		if len(w.steps) != 2 {
			t.Error("an answer counts twice")
		}
		leave(1)
		w.Refused(w.offered[0].(*wire.Deposit).Seq)
		if len(of[event.ShareFailed](w)) != 1 || len(w.mail) != 1 {
			t.Errorf("not looked at: %+v, %d control mails", w.steps, len(w.mail))
		}
		leave(1)
		w.RelayDown()
		if len(of[event.ShareFailed](w)) != 1 || len(w.mail) != 2 {
			t.Errorf("the relay node went: %+v, %d control mails", w.steps, len(w.mail))
		}
		leave(1)
		if got := time.Until(w.Deadline()); got != depositTimeout {
			t.Errorf("the answer is waited for for %v", got)
		}
		time.Sleep(depositTimeout)
		w.Tick()
		if len(of[event.ShareFailed](w)) != 1 || !w.Deadline().IsZero() {
			t.Errorf("never answered: %+v", w.steps)
		}
		w.full = true
		leave(1)
		if len(of[event.ShareFailed](w)) != 1 || len(w.mail) == 0 {
			t.Errorf("no room: %+v", w.steps)
		}
	})
}

// TestMailIsAcknowledgedOnceSettled takes in a share, a batch of two control messages and rubbish.
func TestMailIsAcknowledgedOnceSettled(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	w := newWorld(t, g, "A")
	var acked []byte
	w.Delivered([]Mail{
		{ID: wire.MailID{1}, From: g.Member("B").Cert.Peer, Share: []byte("share")},
		{ID: wire.MailID{2}, Control: [][]byte{[]byte("one"), []byte("two")}, Signer: g.Member("B").Identity.Public().(ed25519.PublicKey)},
		{ID: wire.MailID{3}},
	}, func(id wire.MailID) { acked = append(acked, id[0]) })
	if !bytes.Equal(acked, []byte{3}) {
		t.Fatalf("acknowledged at once: %v", acked)
	}
	control := of[event.Control](w)
	w.Settled(control[0].Ref)
	w.Settled(control[0].Ref)
	if len(acked) != 1 {
		t.Error("a batch is acknowledged though one of its messages is not settled")
	}
	w.Settled(control[1].Ref)
	w.Settled(of[event.Envelope](w)[0].Ref)
	if !bytes.Equal(acked, []byte{3, 2, 1}) {
		t.Errorf("acknowledged: %v", acked)
	}
}

// TestControlMessages go over the topic together, and into the mailboxes of those who do not hear it.
func TestControlMessages(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B", "C")
	w := newWorld(t, g, "A")
	w.Begin(t.Context(), nil, w)
	for i := range maxBroadcasts + 1 {
		w.Broadcast(event.Broadcast{Raw: []byte{byte(i), byte(i >> 8), 1}})
	}
	w.Settle()
	if len(w.published) != 0 || len(w.broadcasts) != maxBroadcasts {
		t.Fatalf("%d batches are published to nobody, %d messages wait", len(w.published), len(w.broadcasts))
	}
	w.broadcasts = nil
	w.reaches, w.ready, w.listens["B"] = true, true, true
	w.Broadcast(event.Broadcast{Raw: []byte("for those here")})
	w.Broadcast(event.Broadcast{Raw: []byte("and this")})
	w.Broadcast(event.Broadcast{Raw: []byte("for all"), Absent: true})
	w.Settle()
	if len(w.published) != 2 {
		t.Fatalf("%d batches", len(w.published))
	}
	first, err := wire.ParseBatch(w.published[0])
	if err != nil || len(first.Items) != 2 || first.Kind != wire.BatchControl {
		t.Errorf("the first batch has %d items, %v", len(first.Items), err)
	}
	d := w.offered[0].(*wire.Deposit)
	if len(d.Items) != 1 || d.Items[0].To != g.Member("C").Cert.Peer || d.Items[0].Kind != wire.KindControl {
		t.Errorf("left in mailboxes: %+v", d.Items)
	}
}
