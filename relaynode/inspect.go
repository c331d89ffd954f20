package relaynode

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Held is one batch or mail that the relay node took in, with everything that it has of it: what it can see.
type Held struct {
	Number uint64    // grows by one with each
	Time   time.Time // when it was durable
	Way    string    // how it came: "topic" or "session"
	What   string    // "frames", "control", "share" or "control mail"
	From   wire.Role // whose signature or session it came under
	To     wire.Role // the recipient of a mail; empty for a batch
	ID     string    // its hash, in hex
	Data   []byte    // all of its bytes; must not be changed
	Frames []wire.FrameHeader
}

// Part is a stretch of a Held's bytes.
type Part struct {
	Name     string // what it is, in a few words
	From, To int    // bytes From to To-1
	Sealed   bool   // only members can read it; the rest is readable to anybody
}

// maxHeldBytes bounds what a relay node keeps for Held, whatever its number.
const maxHeldBytes = 2 << 20

// observer keeps the latest things that the relay node took in. A nil observer keeps nothing.
type observer struct {
	// static
	keep   int
	roleOf func(peer.ID) wire.Role
	now    func() time.Time
	log    *slog.Logger

	mu    sync.Mutex
	last  uint64 // guarded by mu
	items []Held // guarded by mu; oldest first
	bytes int    // guarded by mu; of items
}

func newSight(keep int, roleOf func(peer.ID) wire.Role, now func() time.Time, log *slog.Logger) *observer {
	if keep <= 0 {
		return nil
	}
	return &observer{keep: keep, roleOf: roleOf, now: now, log: log}
}

func (s *observer) add(h Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	h.Number = s.last
	s.items = append(s.items, h)
	s.bytes += len(h.Data)
	drop := 0
	for len(s.items)-drop > s.keep || s.bytes > maxHeldBytes {
		s.bytes -= len(s.items[drop].Data)
		drop++
	}
	s.items = slices.Delete(s.items, 0, drop)
}

// after returns what is kept whose number is above n, oldest first.
func (s *observer) after(n uint64) []Held {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.items, func(h Held) bool { return h.Number > n })
	if i < 0 {
		return nil
	}
	return slices.Clone(s.items[i:])
}

// batch notes a batch that has just become durable.
func (s *observer) batch(e backlog.Entry, way string) {
	if s == nil {
		return
	}
	what := wire.BatchControl
	if len(e.Frames) > 0 {
		what = wire.BatchFrames
	}
	h := Held{
		Time: s.now(), Way: way, What: what.String(), From: s.roleOf(e.Signer), ID: e.ID.String(), Data: e.Data,
		Frames: e.Frames,
	}
	s.log.Debug("batch stored", "kind", h.What, "from", h.From, "bytes", len(h.Data), "way", way)
	s.add(h)
}

// mail notes a mail that has just become durable.
func (s *observer) mail(from peer.ID, item wire.MailItem) {
	if s == nil {
		return
	}
	what := "share"
	if item.Kind != wire.KindShare {
		what = "control mail"
	}
	id := wire.MailIDOf(from, item.To, item.Kind, item.Payload)
	h := Held{
		Time: s.now(), Way: "session", What: what, From: s.roleOf(from), To: s.roleOf(item.To),
		ID: hex.EncodeToString(id[:]), Data: item.Payload,
	}
	s.log.Debug("mail stored", "kind", h.What, "from", h.From, "to", h.To, "bytes", len(h.Data))
	s.add(h)
}

// Parts says what each stretch of the bytes is, in order and without gaps, as the relay node can tell from the public
// format alone. Bytes of no known form are one part.
func (h Held) Parts() []Part {
	p := &layout{data: h.Data}
	if h.To != "" {
		p.mail()
	} else {
		p.batch()
	}
	if p.at < len(h.Data) {
		p.next("bytes", len(h.Data)-p.at, false)
	}
	return p.list
}

// layout cuts bytes into stretches, from the first on.
type layout struct {
	data []byte
	at   int
	list []Part
}

func (p *layout) next(name string, n int, sealed bool) {
	p.list = append(p.list, Part{Name: name, From: p.at, To: p.at + n, Sealed: sealed})
	p.at += n
}

func (p *layout) batch() {
	b, err := wire.ParseBatch(p.data)
	if err != nil {
		return
	}
	p.next("version", 1, false)
	p.next("kind: "+b.Kind.String(), 1, false)
	p.next("sender's key", len(b.Sender), false)
	p.next(fmt.Sprintf("number of items: %d", len(b.Items)), 2, false)
	for _, item := range b.Items {
		p.next("length", wire.BatchItemOverhead, false)
		if h, err := wire.ParseFrameHeader(item); err == nil && b.Kind == wire.BatchFrames {
			p.frame(h)
			continue
		}
		p.signed(item)
	}
	p.next("signature", len(b.Signature), false)
}

func (p *layout) frame(h wire.FrameHeader) {
	p.next(fmt.Sprintf("frame header: session %s, sender %d, start %d, counter %d", h.Prefix, h.Sender, h.Start, h.Counter), wire.FrameHeaderSize, false)
	p.next("random IV", wire.FrameIVSize, false)
	p.next("message, under AES-256-CTR", int(h.Length), true)
	p.next("HMAC-SHA256", wire.FrameMACSize, false)
}

// signed is a message of key agreement in the open.
func (p *layout) signed(item []byte) {
	name := "key agreement message"
	if s, err := wire.UnmarshalSigned(item); err == nil {
		name = s.Type.String() + ", signed, readable"
	}
	p.next(name, len(item), false)
}

// mail is an envelope with a share, or a control batch.
func (p *layout) mail() {
	if _, err := wire.ParseBatch(p.data); err == nil {
		p.batch()
		return
	}
	s, err := wire.UnmarshalSigned(p.data)
	if err != nil || s.Type != wire.SignedEnvelope {
		p.signed(p.data)
		return
	}
	e, err := wire.UnmarshalEnvelope(s.Payload)
	if err != nil {
		return
	}
	if at := bytes.LastIndex(p.data, e.Ciphertext); at > 0 {
		p.next("envelope: opening and announcement, readable", at, false)
		p.next(fmt.Sprintf("share, under the RSA key of %s", e.To), len(e.Ciphertext), true)
		p.next("signature", len(p.data)-p.at, false)
	}
}
