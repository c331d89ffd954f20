package relaynode

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"log/slog"
	"slices"
	"testing"
	"time"

	"conclave/overlay/batch"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestPresenceNamesWhoHasASession(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	a := join(t, g, "A", n)
	await(a, func(m *wire.Presence) bool { return len(m.Online) == 1 && m.Online[0] == a.id.Cert.Peer })
	b := join(t, g, "B", n)
	both := func(m *wire.Presence) bool { return len(m.Online) == 2 }
	await(a, both)
	await(b, both)
	b.conn.Abort()
	await(a, func(m *wire.Presence) bool { return len(m.Online) == 1 && m.Online[0] == a.id.Cert.Peer })
}

func TestMailIsHandedOnAtOnceOrWaits(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "C")
	n := startRelay(t, relayConfig(g))
	a, b := join(t, g, "A", n), join(t, g, "B", n)
	if v := a.deposit(1, "B", "for the one who is here"); v != wire.VerdictStored {
		t.Fatalf("verdict %v", v)
	}
	got := b.mail()
	if string(got.Payload) != "for the one who is here" || got.From != a.id.Cert.Peer || got.Kind != wire.KindShare {
		t.Fatalf("B got %q from %s", got.Payload, got.From)
	}
	if v := a.deposit(2, "C", "for the one who is away"); v != wire.VerdictStored {
		t.Fatalf("verdict %v", v)
	}
	if v := a.deposit(3, "C", "for the one who is away"); v != wire.VerdictDuplicate {
		t.Fatalf("verdict %v on a second copy", v)
	}
	c := join(t, g, "C", n)
	got = c.mail()
	if string(got.Payload) != "for the one who is away" {
		t.Fatalf("C got %q", got.Payload)
	}
	// Not acknowledged: it comes again in the next session. Acknowledged: it is gone.
	c.conn.Abort()
	c = join(t, g, "C", n)
	got = c.mail()
	c.send(&wire.DeliveryAck{IDs: []wire.MailID{got.ID}})
	c.roundTrip()
	stats, err := n.mail.Pending(context.Background(), c.id.Cert.Peer, 0, 10)
	if err != nil || len(stats) != 0 {
		t.Fatalf("%d mails left after the acknowledgement, %v", len(stats), err)
	}
}

func TestDepositForStrangersIsRefusedItemByItem(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	a := join(t, g, "A", n)
	items := []wire.MailItem{
		{To: stranger(t), Kind: wire.KindShare, Payload: []byte("one")},
		{To: g.Member("B").Cert.Peer, Kind: wire.KindShare, Payload: []byte("two")},
		{To: n.Peer(), Kind: wire.KindShare, Payload: []byte("three")},
		{To: g.Member("B").Cert.Peer, Kind: wire.KindShare, Payload: []byte("four")},
	}
	a.send(&wire.Deposit{Seq: 7, Items: items})
	r := await[*wire.DepositResult](a, nil)
	want := []wire.Verdict{wire.VerdictUnknownRecipient, wire.VerdictStored, wire.VerdictUnknownRecipient, wire.VerdictStored}
	if r.Seq != 7 || r.Database != n.database || !slices.Equal(r.Verdicts, want) {
		t.Fatalf("got %+v, want verdicts %v of database %s", r, want, n.database)
	}
}

// stranger returns the peer ID of somebody in no roster.
func stranger(t testing.TB) peer.ID {
	t.Helper()
	id, err := wire.PeerIDOf(pkitest.NewIdentity(t).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestMailComesInPagesThatWaitForAcknowledgement(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.MailPage = 64 << 10
	n := startRelay(t, cfg)
	a := join(t, g, "A", n)
	payload := bytes.Repeat([]byte{1}, wire.MaxShareEnvelope)
	const mails = 200 // 1.6 MB
	for i := range mails {
		payload[0], payload[1] = byte(i), byte(i>>8)
		a.send(&wire.Deposit{Seq: uint64(i), Items: []wire.MailItem{{To: g.Member("B").Cert.Peer, Kind: wire.KindShare, Payload: slices.Clone(payload)}}})
	}
	await(a, func(m *wire.DepositResult) bool { return m.Seq == mails-1 })
	b := join(t, g, "B", n)
	got := 0
	for got < mails {
		d := await[*wire.Delivery](b, nil)
		ids := make([]wire.MailID, len(d.Mails))
		for i, mail := range d.Mails {
			if k := int(mail.Payload[0]) | int(mail.Payload[1])<<8; k != got+i {
				t.Fatalf("mail %d came as number %d", k, got+i)
			}
			ids[i] = mail.ID
		}
		if got == 0 {
			b.roundTrip()
			if _, more := take[*wire.Delivery](b, nil); more {
				t.Fatal("a second page came before the first was acknowledged")
			}
		}
		got += len(d.Mails)
		b.send(&wire.DeliveryAck{IDs: ids})
	}
}

func TestMailThatIsNeverAcknowledgedHoldsBackNothingForEver(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.MailPage, cfg.Limits.MailWindow = 1, 50*time.Millisecond
	n := startRelay(t, cfg)
	a, b := join(t, g, "A", n), join(t, g, "B", n)
	a.deposit(1, "B", "first")
	if got := b.mail(); string(got.Payload) != "first" {
		t.Fatalf("got %q", got.Payload)
	}
	a.deposit(2, "B", "second")
	if got := b.mail(); string(got.Payload) != "second" {
		t.Fatalf("got %q", got.Payload)
	}
	if n.count.get(deliveryStalled) == 0 {
		t.Error("the stall was not counted")
	}
}

func TestTopicBatchIsStoredAcknowledgedAndFetched(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	a, b := join(t, g, "A", n), join(t, g, "B", n)
	await(b, func(m *wire.Heads) bool { return m.Full && len(m.Heads) == 0 })
	topicA, topicB := joinTopic(t, g, a.host), joinTopic(t, g, b.host)
	warmUp(t, g, "A", topicA, topicB)
	data := signed(t, g, "A", frame(0, 0, 0, 'x'), frame(0, 0, 1, 'x'))
	publish(t, topicA, data)
	if got := receive(t, topicB); !bytes.Equal(got, data) {
		t.Fatal("B received something else")
	}
	id := wire.BatchIDOf(data)
	await(a, func(m *wire.Stored) bool { return slices.Contains(m.IDs, id) })
	h := await(b, func(m *wire.Heads) bool { return len(m.Heads) == 1 })
	if want := (wire.Head{Prefix: testPrefix, Sender: 0, Start: 0, Low: 0, High: 1, Signer: signerOf(g, "A")}); h.Heads[0] != want || h.Full {
		t.Fatalf("heads %+v, want the change %+v", h, want)
	}
	b.send(&wire.Fetch{Seq: 3, Prefix: testPrefix, Sender: 0, Start: 0, From: 1, To: 1, Signer: signerOf(g, "A")})
	f := await(b, func(m *wire.Fetched) bool { return m.Seq == 3 })
	if len(f.Batches) != 1 || !bytes.Equal(f.Batches[0], data) || f.More {
		t.Fatalf("fetched %d batches, more %v", len(f.Batches), f.More)
	}
}

func TestStoredBatchIsPublishedOnce(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	a, b := join(t, g, "A", n), join(t, g, "B", n)
	topicA, topicB := joinTopic(t, g, a.host), joinTopic(t, g, b.host)
	warmUp(t, g, "A", topicA, topicB)
	first := signed(t, g, "A", frame(0, 0, 0, 'x'))
	last := signed(t, g, "A", frame(0, 0, 1, 'y'))
	a.send(&wire.Store{Batches: [][]byte{first}})
	await(a, func(m *wire.Stored) bool { return slices.Contains(m.IDs, wire.BatchIDOf(first)) })
	a.send(&wire.Store{Batches: [][]byte{first, last, []byte("rubbish")}})
	r := await(a, func(m *wire.Stored) bool { return slices.Contains(m.IDs, wire.BatchIDOf(last)) })
	if len(r.IDs) != 2 || len(r.Refused) != 1 || r.Refused[0].Verdict != wire.VerdictMalformed {
		t.Fatalf("got %+v", r)
	}
	if got := receive(t, topicB); !bytes.Equal(got, first) {
		t.Fatal("B did not receive the first batch")
	}
	if got := receive(t, topicB); !bytes.Equal(got, last) {
		t.Fatal("the first batch was published twice")
	}
}

func TestFetchGoesOnWhereItWasCut(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	a := join(t, g, "A", n)
	const batches = 20
	for i := range uint32(batches) {
		a.send(&wire.Store{Batches: [][]byte{signed(t, g, "A", largestFrame(5*i), largestFrame(5*i+1), largestFrame(5*i+2), largestFrame(5*i+3), largestFrame(5*i+4))}})
		await[*wire.Stored](a, nil)
	}
	from, pages := uint32(0), 0
	for more := true; more; pages++ {
		a.send(&wire.Fetch{Seq: uint64(from), Prefix: testPrefix, From: from, To: 5*batches - 1, Signer: signerOf(g, "A")})
		f := await(a, func(m *wire.Fetched) bool { return m.Seq == uint64(from) })
		if len(f.Batches) == 0 {
			t.Fatal("an empty page")
		}
		from += uint32(5 * len(f.Batches))
		more = f.More
	}
	if from != 5*batches || pages < 3 {
		t.Fatalf("fetched up to %d in %d pages", from, pages)
	}
}

func TestNewerSessionTakesThePlaceOfTheOlder(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	n := startRelay(t, relayConfig(g))
	old := join(t, g, "A", n)
	renewed := join(t, g, "A", n)
	await(old, func(m *wire.Refusal) bool { return m.Code == wire.RefusedReplaced })
	<-old.over
	b := join(t, g, "B", n)
	b.deposit(1, "A", "to the newer one")
	if got := renewed.mail(); string(got.Payload) != "to the newer one" {
		t.Fatalf("got %q", got.Payload)
	}
	if n.count.get(closeReplaced) != 1 {
		t.Errorf("counted %d", n.count.get(closeReplaced))
	}
}

func TestTooMuchIsRefusedByName(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.Bytes = 1000 // 8,000 at once
	n := startRelay(t, cfg)
	a := join(t, g, "A", n)
	payload := bytes.Repeat([]byte{1}, 7000)
	item := wire.MailItem{To: g.Member("B").Cert.Peer, Kind: wire.KindShare, Payload: payload}
	a.send(&wire.Deposit{Seq: 1, Items: []wire.MailItem{item}})
	await(a, func(m *wire.DepositResult) bool { return m.Seq == 1 })
	a.send(&wire.Deposit{Seq: 2, Items: []wire.MailItem{item}})
	r := await(a, func(m *wire.Refusal) bool { return m.Seq == 2 })
	if r.Code != wire.RefusedLimit {
		t.Fatalf("refused with %v", r.Code)
	}
	// A new session does not refill what was used up.
	again := join(t, g, "A", n)
	again.send(&wire.Deposit{Seq: 3, Items: []wire.MailItem{item}})
	await(again, func(m *wire.Refusal) bool { return m.Seq == 3 && m.Code == wire.RefusedLimit })
}

func TestStatusAndLogTellWhatHappens(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	log := &logbook{}
	cfg.Log = slog.New(log)
	n := startRelay(t, cfg)
	a := join(t, g, "A", n)
	a.deposit(1, "B", "x")
	a.conn.Abort()
	eventually(t, "A went", func() bool { return log.has("member offline") })
	if !log.has("member online") {
		t.Error("that A came is not in the log")
	}
	s, err := n.Status(context.Background())
	if err != nil || len(s.Members) != 2 || s.Mailbox.Items != 1 || s.GroupName != g.Group.Name {
		t.Fatalf("status %+v, %v", s, err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	g := pkitest.NewGroup(t, "A")
	other := pkitest.NewGroup(t, "A")
	for name, spoil := range map[string]func(*Config){
		"no group":       func(c *Config) { c.Group = nil },
		"no roster":      func(c *Config) { c.Roster = nil },
		"foreign roster": func(c *Config) { c.Roster = other.Roster },
		"no identity":    func(c *Config) { c.Identity = nil },
		"no certificate": func(c *Config) { c.Certificate = nil },
		"no address":     func(c *Config) { c.Listen = nil },
		"negative time":  func(c *Config) { c.Limits.Heads = -1 },
		"negative rate":  func(c *Config) { c.Limits.Bytes = -1 },
	} {
		cfg := relayConfig(g)
		spoil(&cfg)
		if n, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
			_ = n.Close()
		}
	}
}

func publish(t testing.TB, topic *topic.Handle, data []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := topic.Publish(ctx, data); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, topic *topic.Handle) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := topic.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m.Data
}

// warmUp publishes control batches of a member until another receives one: from then on the hub has both in its mesh. It
// returns when all that were published have come.
func warmUp(t testing.TB, g *pkitest.Group, role string, from, to *topic.Handle) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for i := 0; ; i++ {
		item := binary.BigEndian.AppendUint32([]byte("warm up "), uint32(i))
		data, err := batch.Sign(g.Member(role).Identity, topic.Name(g.Group.ID), wire.BatchControl, [][]byte{item})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, from, data)
		for wait := 200 * time.Millisecond; ; wait = patience {
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			m, err := to.Receive(ctx)
			cancel()
			if err != nil {
				break
			}
			if bytes.Equal(m.Data, data) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the topic never worked")
		}
	}
}

// A member that asks for much and reads nothing loses its session; the others notice nothing.
func TestSlowConsumerLosesItsSession(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Limits.Send = 200 * time.Millisecond
	n := startRelay(t, cfg)
	a := join(t, g, "A", n)
	for i := range uint32(8) {
		a.send(&wire.Store{Batches: [][]byte{signed(t, g, "A", largestFrame(4*i), largestFrame(4*i+1), largestFrame(4*i+2), largestFrame(4*i+3))}})
		await[*wire.Stored](a, nil)
	}
	id := g.Member("B")
	h := newHost(t, id.Identity)
	connect(t, h, n)
	slow, err := initiate(h, n, sessionConfig(g, id, g.Roster))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Abort)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 40 { // 20 MB of answers; the stream's window and the send queue hold 9
		if err := slow.Send(ctx, &wire.Fetch{Prefix: testPrefix, To: 100, Signer: signerOf(g, "A")}); err != nil {
			break
		}
	}
	eventually(t, "the slow session is closed", func() bool { return n.count.get(closeSlow) == 1 && !n.table.online(h.ID()) })
	a.roundTrip()
}

// largestFrame returns bytes that have the shape of the largest frame.
func largestFrame(counter uint32) []byte {
	h := wire.FrameHeader{Prefix: testPrefix, Counter: counter, Length: wire.ContentHeaderSize + wire.MaxBody}
	return append(h.Append(nil), make([]byte, wire.MaxFrame-wire.FrameHeaderSize)...)
}
