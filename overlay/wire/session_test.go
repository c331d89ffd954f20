package wire

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"
)

// testPeer is the peer ID of the Ed25519 key whose seed is all b.
func testPeer(b byte) peer.ID {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)).Public().(ed25519.PublicKey)
	id, err := PeerIDOf(key)
	if err != nil {
		panic(err)
	}
	return id
}

func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// sessionSamples holds one message of each type, with every field set.
func sessionSamples() []Message {
	return []Message{
		&Hello{Protocol: 1, Nonce: Nonce(fill(0xaa, 32)), TimeMs: 1_795_000_000_000, RosterVersion: 7, Certificate: []byte("cert"), Roster: []byte("roster"), Signature: fill(0x55, 64)},
		&HelloReply{Protocol: 1, Nonce: Nonce(fill(0xbb, 32)), TimeMs: -1, RosterVersion: 8, Certificate: []byte("cert"), Roster: []byte("roster"), Database: DatabaseID(fill(0xdb, 16)), Signature: fill(0x66, 64)},
		&Finish{Signature: fill(0x77, 64)},
		&Refusal{Seq: 3, Code: RefusedSkew, Text: "no", TimeMs: 5},
		&RosterUpdate{Envelope: []byte("roster")},
		&Presence{Online: []peer.ID{testPeer(1)}},
		&Deposit{Seq: 9, Items: []MailItem{{To: testPeer(2), Kind: KindShare, Payload: []byte("share")}}},
		&DepositResult{Seq: 9, Verdicts: []Verdict{VerdictStored, VerdictOverSenderQuota}, Database: DatabaseID(fill(0xdb, 16))},
		&Delivery{Mails: []Mail{{From: testPeer(1), Kind: KindControl, Payload: []byte("control")}}},
		&DeliveryAck{IDs: []MailID{MailID(fill(0xcc, 32))}},
		&Forward{Mails: []ForwardedMail{{From: testPeer(1), To: testPeer(2), Kind: KindShare, Payload: []byte("share")}}},
		&Collected{By: testPeer(2), IDs: []MailID{MailID(fill(0xcc, 32))}},
		&Store{Batches: [][]byte{[]byte("batch")}},
		&Stored{IDs: []BatchID{BatchID(fill(0xdd, 32))}, Refused: []RefusedBatch{{ID: BatchID(fill(0xee, 32)), Verdict: VerdictMalformed}}},
		&Heads{Heads: []Head{{Prefix: Prefix(fill(0x01, 8)), Sender: 2, Start: 3, Low: 4, High: 5, Signer: Signer(fill(0x02, 32))}}, Full: true},
		&Fetch{Seq: 6, Prefix: Prefix(fill(0x01, 8)), Sender: 2, Start: 3, From: 4, To: 5, Signer: Signer(fill(0x02, 32))},
		&Fetched{Seq: 6, Batches: [][]byte{[]byte("batch")}, More: true},
		&Copied{Seq: 6, Copies: []Copy{{Batch: []byte("batch"), Age: 300 * time.Second}}, More: true},
		&Ping{Nonce: 300},
		&Pong{Nonce: 300},
		&ShareMessage{Items: [][]byte{[]byte("envelope")}},
		&ShareReply{Accepted: 1},
	}
}

func TestSessionSamplesCoverEveryType(t *testing.T) {
	have := make(map[MessageType]bool)
	for _, m := range sessionSamples() {
		have[m.Type()] = true
		if v := reflect.ValueOf(m).Elem(); v.NumField() > 0 {
			for i := range v.NumField() {
				if v.Field(i).IsZero() {
					t.Errorf("%s: field %s of the sample is zero", m.Type(), v.Type().Field(i).Name)
				}
			}
		}
	}
	for typ := range codecs {
		if !have[typ] {
			t.Errorf("no sample of %s", typ)
		}
	}
}

func read(b []byte, accept ...MessageType) (Message, error) {
	return ReadMessage(bufio.NewReader(bytes.NewReader(b)), accept...)
}

func TestSessionRoundTrip(t *testing.T) {
	for _, m := range sessionSamples() {
		b, err := AppendMessage([]byte("before"), m)
		if err != nil {
			t.Fatalf("%s: %v", m.Type(), err)
		}
		got, err := read(b[len("before"):])
		if err != nil {
			t.Fatalf("%s: %v", m.Type(), err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%s: got %+v, want %+v", m.Type(), got, m)
		}
	}
}

// TestSessionCuts: every prefix of a message is refused, and the empty one is a clean end.
func TestSessionCuts(t *testing.T) {
	for _, m := range sessionSamples() {
		b, _ := AppendMessage(nil, m)
		for n := range b {
			_, err := read(b[:n])
			if n == 0 && err != io.EOF || n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s cut to %d bytes: %v", m.Type(), n, err)
			}
		}
	}
}

func TestSessionAccept(t *testing.T) {
	b, _ := AppendMessage(nil, &Ping{Nonce: 1})
	if _, err := read(b, TypeHello, TypePong); !errors.Is(err, ErrMessage) {
		t.Errorf("err = %v", err)
	}
	if _, err := read(b, TypePing); err != nil {
		t.Error(err)
	}
}

// TestSessionLength: lengths are minimal, not zero, and held against the cap before anything is allocated.
func TestSessionLength(t *testing.T) {
	for name, b := range map[string][]byte{
		"zero":                  {0x00},
		"not minimal":           {0x82, 0x00, byte(TypePing), 0x08, 0x01},
		"five bytes":            {0x82, 0x80, 0x80, 0x80, 0x00, byte(TypePing)},
		"unknown type":          {0x01, 0x7f},
		"over a ping's cap":     append(protowire.AppendVarint(nil, 2+MaxSmallMessage), byte(TypePing)),
		"over a store's cap":    append(protowire.AppendVarint(nil, 2+MaxSessionMessage), byte(TypeStore)),
		"over a hello's cap":    append(protowire.AppendVarint(nil, 2+MaxHello), byte(TypeHello)),
		"the largest there are": {0xff, 0xff, 0xff, 0x7f, byte(TypeHello)},
	} {
		if _, err := read(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	allocated := testing.AllocsPerRun(10, func() { _, _ = read([]byte{0xff, 0xff, 0xff, 0x7f, byte(TypeHello)}) })
	if allocated > 20 {
		t.Errorf("a refused length costs %.0f allocations", allocated)
	}
}

// TestHandshakeIsExact: what is signed has one encoding.
func TestHandshakeIsExact(t *testing.T) {
	for _, m := range sessionSamples()[:3] {
		body, _ := EncodeBody(m)
		if _, err := DecodeBody(m.Type(), body); err != nil {
			t.Fatal(err)
		}
		again := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(body), 15, protowire.VarintType), 1)
		if _, err := DecodeBody(m.Type(), again); !errors.Is(err, ErrMessage) {
			t.Errorf("%s with an unknown field: %v", m.Type(), err)
		}
		_, _, n := protowire.ConsumeField(body)
		if n < len(body) {
			turned := append(bytes.Clone(body[n:]), body[:n]...)
			if _, err := DecodeBody(m.Type(), turned); !errors.Is(err, ErrMessage) {
				t.Errorf("%s with fields in another order: %v", m.Type(), err)
			}
		}
		if _, err := DecodeBody(m.Type(), append(bytes.Clone(body), body[:n]...)); !errors.Is(err, ErrMessage) {
			t.Errorf("%s with a field twice: %v", m.Type(), err)
		}
	}
}

func TestUnsignedMessagesIgnoreUnknownFields(t *testing.T) {
	body, _ := EncodeBody(&Ping{Nonce: 5})
	body = protowire.AppendVarint(protowire.AppendTag(body, 15, protowire.VarintType), 1)
	m, err := DecodeBody(TypePing, body)
	if err != nil || m.(*Ping).Nonce != 5 {
		t.Fatalf("%+v, %v", m, err)
	}
}

// TestManyFieldsAreRefusedUnparsed: two bytes on the wire could cost a hundred in memory.
func TestManyFieldsAreRefusedUnparsed(t *testing.T) {
	for typ, field := range map[MessageType]protowire.Number{TypeDeposit: 2, TypeDelivery: 1, TypeHeads: 1, TypeStored: 2, TypePresence: 1} {
		var body []byte
		for range codecs[typ].fields + 1 {
			body = protowire.AppendBytes(protowire.AppendTag(body, field, protowire.BytesType), nil)
		}
		if n := testing.AllocsPerRun(1, func() {
			if _, err := DecodeBody(typ, body); !errors.Is(err, ErrMessage) {
				t.Errorf("%s: %v", typ, err)
			}
		}); n > 5 {
			t.Errorf("%s: %.0f allocations", typ, n)
		}
	}
}

// TestSessionBounds: values out of their bounds are neither written nor read.
func TestSessionBounds(t *testing.T) {
	good := func() *Hello { return sessionSamples()[0].(*Hello) }
	with := func(change func(*Hello)) *Hello { h := good(); change(h); return h }
	for name, m := range map[string]Message{
		"no certificate":       with(func(h *Hello) { h.Certificate = nil }),
		"large certificate":    with(func(h *Hello) { h.Certificate = make([]byte, MaxCertificate+1) }),
		"large roster":         with(func(h *Hello) { h.Roster = make([]byte, MaxRosterEnvelope+1) }),
		"short signature":      with(func(h *Hello) { h.Signature = make([]byte, 63) }),
		"short finish":         &Finish{Signature: make([]byte, 65)},
		"refusal without code": &Refusal{},
		"long refusal":         &Refusal{Code: RefusedSkew, Text: strings.Repeat("x", MaxRefusalText+1)},
		"empty update":         &RosterUpdate{},
		"large update":         &RosterUpdate{Envelope: make([]byte, MaxRosterEnvelope+1)},
		"peer ID":              &Presence{Online: []peer.ID{"someone"}},
		"empty deposit":        &Deposit{},
		"many items":           &Deposit{Items: make([]MailItem, MaxMailItems+1)},
		"unknown kind":         &Deposit{Items: []MailItem{{To: testPeer(1), Kind: 3, Payload: []byte("x")}}},
		"empty payload":        &Deposit{Items: []MailItem{{To: testPeer(1), Kind: KindShare}}},
		"over the message cap": &Store{Batches: [][]byte{make([]byte, MaxBatch), make([]byte, MaxBatch), make([]byte, MaxBatch), make([]byte, MaxBatch)}},
		"empty batch":          &Store{Batches: [][]byte{{}}},
		"large batch":          &Store{Batches: [][]byte{make([]byte, MaxBatch+1)}},
		"no batches":           &Store{},
		"turned head":          &Heads{Heads: []Head{{Low: 2, High: 1}}},
		"many heads":           &Heads{Heads: make([]Head, MaxListItems+1)},
		"turned fetch":         &Fetch{From: 2, To: 1},
		"many acks":            &DeliveryAck{IDs: make([]MailID, MaxListItems+1)},
		"many stored":          &Stored{IDs: make([]BatchID, MaxListItems+1)},
		"no mail":              &Forward{},
		"much mail":            &Forward{Mails: make([]ForwardedMail, MaxMailItems+1)},
		"mail for nobody":      &Forward{Mails: []ForwardedMail{{From: testPeer(1), Kind: KindShare, Payload: []byte("x")}}},
		"mail of no kind":      &Forward{Mails: []ForwardedMail{{From: testPeer(1), To: testPeer(2), Payload: []byte("x")}}},
		"nothing collected":    &Collected{By: testPeer(1)},
		"collected by nobody":  &Collected{IDs: make([]MailID, 1)},
		"much collected":       &Collected{By: testPeer(1), IDs: make([]MailID, MaxListItems)},
		"empty copy":           &Copied{Copies: []Copy{{}}},
		"large copy":           &Copied{Copies: []Copy{{Batch: make([]byte, MaxBatch+1)}}},
		"copy from the future": &Copied{Copies: []Copy{{Batch: []byte("x"), Age: -time.Second}}},
		"no shares":            &ShareMessage{},
		"many shares":          &ShareMessage{Items: slicesOf(MaxShareItems+1, 1)},
		"large share":          &ShareMessage{Items: slicesOf(1, MaxShareEnvelope+1)},
	} {
		if b, err := AppendMessage(nil, m); !errors.Is(err, ErrMessage) || len(b) != 0 {
			t.Errorf("%s: wrote %d bytes, %v", name, len(b), err)
		}
	}
	for name, m := range map[string]Message{
		"largest hello": with(func(h *Hello) {
			h.Certificate, h.Roster = make([]byte, MaxCertificate), make([]byte, MaxRosterEnvelope)
		}),
		"largest update": &RosterUpdate{Envelope: make([]byte, MaxRosterEnvelope)},
		"largest share":  &ShareMessage{Items: slicesOf(MaxShareItems, MaxShareEnvelope)},
		"times":          with(func(h *Hello) { h.TimeMs = math.MinInt64 }),
		"many heads":     &Heads{Heads: make([]Head, MaxListItems), Full: true},
		"many acks":      &DeliveryAck{IDs: make([]MailID, MaxListItems)},
	} {
		b, err := AppendMessage(nil, m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := read(b); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: read %v", name, err)
		}
	}
}

func slicesOf(n, size int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, size)
	}
	return all
}

// TestOversizedMailParses: the relay node refuses such an item by name, not the whole deposit.
func TestOversizedMailParses(t *testing.T) {
	m := &Deposit{Seq: 1, Items: []MailItem{{To: testPeer(1), Kind: KindShare, Payload: make([]byte, MaxShareEnvelope+1)}}}
	b, err := AppendMessage(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(b); err != nil {
		t.Fatal(err)
	}
}

func TestMailID(t *testing.T) {
	a, b := testPeer(1), testPeer(2)
	base := MailIDOf(a, b, KindShare, []byte("x"))
	for name, other := range map[string]MailID{
		"other way":     MailIDOf(b, a, KindShare, []byte("x")),
		"other kind":    MailIDOf(a, b, KindControl, []byte("x")),
		"other payload": MailIDOf(a, b, KindShare, []byte("y")),
	} {
		if other == base {
			t.Errorf("%s: the same ID", name)
		}
	}
	const golden = "513583a021b0a1c961b539ac0519da111dc4ea772d4914176cf64922ec7daba5"
	if got := hex.EncodeToString(base[:]); got != golden {
		t.Errorf("mail ID %s, want %s", got, golden)
	}
}

func TestSessionNames(t *testing.T) {
	for v := VerdictStored; v <= VerdictTryLater; v++ {
		if strings.HasPrefix(v.String(), "verdict") {
			t.Errorf("verdict %d has no name", v)
		}
	}
	for c := RefusedSkew; c <= RefusedReplaced; c++ {
		if strings.HasPrefix(c.String(), "code") {
			t.Errorf("refusal %d has no name", c)
		}
	}
	if got := TypeHelloReply.String(); got != "HelloReply" {
		t.Errorf("type %q", got)
	}
	if got := MessageType(0x7f).String(); got != "message type 0x7f" {
		t.Errorf("type %q", got)
	}
}
