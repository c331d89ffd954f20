package frame

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"conclave/overlay/wire"
)

// Member is one member of a session.
type Member struct {
	Role     wire.Role
	Identity ed25519.PublicKey // 32 bytes
}

// Config is what a session is made of.
type Config struct {
	Group      wire.GroupID
	Transcript wire.Transcript // names the session
	PRK        PRK             // copied nowhere: New derives each sender's root and forgets it. The caller clears it
	Members    []Member        // in role order, as in the epoch's roster; the index is the sender index of a frame
	Self       int             // index of this member
	Rand       io.Reader       // source of IVs; nil means crypto/rand. Anything else is for tests
}

// validate returns the first rule that the configuration breaks.
func (c *Config) validate() error {
	if len(c.Members) == 0 || len(c.Members) > MaxMembers {
		return fmt.Errorf("a session has 1 to %d members", MaxMembers)
	}
	if c.Self < 0 || c.Self >= len(c.Members) {
		return errors.New("this member's index is not one of the members")
	}
	for i, m := range c.Members {
		if _, err := wire.ParseRole(string(m.Role)); err != nil {
			return err
		}
		if i > 0 && c.Members[i-1].Role >= m.Role {
			return errors.New("the members are in role order, each once")
		}
		if len(m.Identity) != ed25519.PublicKeySize {
			return errors.New("an identity key is an Ed25519 public key")
		}
	}
	return nil
}

// Session seals one member's frames and opens the others'. Its methods may be called from any goroutine.
type Session struct {
	// Static after construction.
	group      wire.GroupID
	transcript wire.Transcript
	prefix     wire.Prefix
	members    []Member
	self       int
	start      uint32 // this member's present start
	rand       io.Reader

	// Guarded by mu.
	mu        sync.Mutex
	ck        key      // this member's chain, of the counter
	counter   uint32   // the next frame's
	senders   []sender // of every member; this member's own has no chains, its root is of the next start
	changes   uint64   // counts what changed the state
	saved     uint64   // changes up to here are committed
	committed bool     // the start is on disk
	erased    bool
	prf       *prf
	walk      walk
	ivs       [ivBatch * wire.FrameIVSize]byte // random bytes not used yet, from ivsUsed on
	ivsUsed   int
	mac       [wire.FrameMACSize]byte // received, while it is compared
}

// Opened is an opened frame.
type Opened struct {
	Position
	Role    wire.Role
	Content Content
}

// New begins a session, in start 0. It seals nothing before a Checkpoint of it is Committed.
func New(cfg Config) (*Session, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("beginning a session: %w", err)
	}
	s := newSession(cfg)
	prk := cfg.PRK.k
	for i := range s.senders {
		s.prf.expand(&s.senders[i].root, &prk, labelRoot, binary.BigEndian.AppendUint16(nil, uint16(i)))
	}
	clear(prk[:])
	s.begin()
	return s, nil
}

// newSession returns a session without keys. The configuration is valid.
func newSession(cfg Config) *Session {
	s := &Session{
		group:      cfg.Group,
		transcript: cfg.Transcript,
		prefix:     cfg.Transcript.Prefix(),
		self:       cfg.Self,
		rand:       cfg.Rand,
		senders:    make([]sender, len(cfg.Members)),
		prf:        newPRF(),
	}
	for _, m := range cfg.Members {
		s.members = append(s.members, Member{Role: m.Role, Identity: slices.Clone(m.Identity)})
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	s.ivsUsed = len(s.ivs)
	return s
}

// begin takes this member's next start: its chain is in memory only, its root goes on to the start after it.
func (s *Session) begin() {
	own := &s.senders[s.self]
	s.start = own.next
	s.ck = own.peek(s.prf, own.next)
	s.prf.expand(&own.root, &own.root, labelNextRoot, nil)
	own.next++
	s.changes++
	s.prf.clear()
}

// Transcript returns the session's name.
func (s *Session) Transcript() wire.Transcript { return s.transcript }

// Members returns the session's members in role order. The caller does not change them.
func (s *Session) Members() []Member { return s.members }

// Self returns this member's index.
func (s *Session) Self() int { return s.self }

// Start returns the number of this member's present start.
func (s *Session) Start() uint32 { return s.start }

// Next returns the position that the next sealed frame will have.
func (s *Session) Next() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Position{Sender: uint16(s.self), Start: s.start, Counter: s.counter}
}

// Seal appends to dst a frame with the content. It takes the next counter of this start; its keys are gone afterwards,
// so this session cannot open its own frames. It fails with ErrNotCommitted before the start is on disk, with
// ErrContent for content that nobody would accept, and with ErrExhausted. The content must not lie in dst's memory.
func (s *Session) Seal(dst []byte, content Content) ([]byte, error) {
	if err := content.check(); err != nil {
		return dst, err
	}
	if content.Sent.UnixMilli() < 0 {
		return dst, fmt.Errorf("%w: it was sent before 1970", ErrContent)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.erased:
		return dst, ErrErased
	case !s.committed:
		return dst, ErrNotCommitted
	case s.counter > MaxCounter:
		return dst, ErrExhausted
	}
	if err := s.refillIVs(); err != nil {
		return dst, err
	}
	iv := s.ivs[s.ivsUsed : s.ivsUsed+wire.FrameIVSize]
	s.ivsUsed += wire.FrameIVSize

	s.walk.run(s.prf, &s.ck, s.counter, s.counter)
	defer s.clear()
	s.ck = s.walk.ck

	size := content.size()
	begin := len(dst)
	out := slices.Grow(dst, wire.FrameOverhead+size)
	out = wire.FrameHeader{
		Prefix: s.prefix, Sender: uint16(s.self), Start: s.start, Counter: s.counter, Length: uint32(size),
	}.Append(out)
	out = append(out, iv...)
	body := out[len(out) : len(out)+size]
	out = out[:len(out)+size]
	s.counter++

	stream, err := newStream(&s.walk.keys.aes, iv)
	if err != nil {
		return dst, err
	}
	content.encrypt(body, stream)
	return append(out, s.sum(&s.walk.keys.mac, out[begin:])...), nil
}

// Open opens a frame from a batch that signer signed (batch.Verify says so). The content's body is the caller's own.
// See OpenTo for the errors.
func (s *Session) Open(signer ed25519.PublicKey, frame []byte) (Opened, error) {
	return s.OpenTo(nil, signer, frame)
}

// OpenTo is Open with the plaintext appended to dst, whose memory the content's body then shares.
//
// It fails with ErrForged, ErrForeign, ErrReplay, ErrTooOld, ErrOwn and ErrBehind, and all of them leave the session as
// it was. A caller that gets ErrForged for one frame of a batch drops the rest of it: the signer made it. With
// ErrContent the frame counts as opened.
func (s *Session) OpenTo(dst []byte, signer ed25519.PublicKey, frame []byte) (Opened, error) {
	h, err := wire.ParseFrameHeader(frame)
	if err != nil {
		return Opened{}, ErrForged
	}
	if h.Prefix != s.prefix {
		return Opened{}, ErrForeign
	}
	if int(h.Sender) >= len(s.members) || !bytes.Equal(s.members[h.Sender].Identity, signer) {
		return Opened{}, ErrForged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.erased:
		return Opened{}, ErrErased
	case int(h.Sender) == s.self && s.behind(h.Start, h.Counter):
		return Opened{}, ErrBehind
	case int(h.Sender) == s.self:
		return Opened{}, ErrOwn
	}
	defer s.clear()
	from := &s.senders[h.Sender]
	keys, commit, err := s.find(from, h)
	if err != nil {
		return Opened{}, err
	}
	end := len(frame) - wire.FrameMACSize
	copy(s.mac[:], frame[end:])
	if subtle.ConstantTimeCompare(s.sum(&keys.mac, frame[:end]), s.mac[:]) != 1 {
		from.wasted += uint64(commit.steps)
		return Opened{}, ErrForged
	}
	dst = slices.Grow(dst, int(h.Length))
	body := dst[len(dst) : len(dst)+int(h.Length)]
	iv := frame[wire.FrameHeaderSize : wire.FrameHeaderSize+wire.FrameIVSize]
	stream, err := newStream(&keys.aes, iv)
	if err != nil {
		return Opened{}, err
	}
	stream.XORKeyStream(body, frame[wire.FrameHeaderSize+wire.FrameIVSize:end])
	s.commit(from, h, commit)

	opened := Opened{
		Position: Position{Sender: h.Sender, Start: h.Start, Counter: h.Counter},
		Role:     s.members[h.Sender].Role,
	}
	opened.Content, err = parseContent(body)
	if err != nil {
		clear(body)
		opened.Content = Content{}
		return opened, ErrContent
	}
	return opened, nil
}

// move says what an authentic frame will change.
type move struct {
	chain   *chain // nil when the start is new
	skipped int    // index of the frame's keys among the chain's skipped ones, or -1 when the chain walks on
	steps   uint32 // how far the chain, and the root, walked
}

// find returns the keys that the header asks for, and what to change once they have proved right. It changes nothing
// but the session's scratch memory.
func (s *Session) find(from *sender, h wire.FrameHeader) (*messageKeys, move, error) {
	if h.Counter > MaxCounter {
		return nil, move{}, ErrForged
	}
	if h.Start >= from.next {
		if h.Start-from.next > MaxStartSteps || s.tooFar(from, h.Counter) {
			return nil, move{}, ErrForged
		}
		ck := from.peek(s.prf, h.Start)
		s.walk.run(s.prf, &ck, 0, h.Counter)
		clear(ck[:])
		return &s.walk.keys, move{skipped: -1, steps: h.Counter + h.Start - from.next}, nil
	}
	c := from.chain(h.Start)
	if c == nil || h.Counter < c.floor {
		return nil, move{}, ErrTooOld
	}
	if h.Counter < c.next {
		i, ok := c.find(h.Counter)
		if !ok {
			return nil, move{}, ErrReplay
		}
		return &c.skipped[i].keys, move{chain: c, skipped: i}, nil
	}
	if s.tooFar(from, h.Counter-c.next) {
		return nil, move{}, ErrForged
	}
	s.walk.run(s.prf, &c.ck, c.next, h.Counter)
	return &s.walk.keys, move{chain: c, skipped: -1, steps: h.Counter - c.next}, nil
}

// tooFar reports whether a frame is too many steps ahead: for anybody, or for a sender that made us walk in vain.
func (s *Session) tooFar(from *sender, steps uint32) bool {
	return steps > MaxSteps || steps > MaxSkipped && from.wasted >= maxWasted
}

// commit makes the move of an authentic frame.
func (s *Session) commit(from *sender, h wire.FrameHeader, m move) {
	s.changes++
	if m.skipped >= 0 {
		m.chain.remove(m.skipped)
		return
	}
	c := m.chain
	if c == nil {
		from.advance(s.prf, h.Start)
		c = from.chain(h.Start)
	}
	if h.Counter-c.next > MaxSkipped {
		c.lose(len(c.skipped))
		c.floor = h.Counter - MaxSkipped
	}
	c.skipped = append(c.skipped, s.walk.skipped...)
	c.ck, c.next = s.walk.ck, h.Counter+1
	from.trim(c)
}

// sum returns the MAC of a frame, of which data is all before the MAC. The next sum overwrites it.
func (s *Session) sum(k *key, data []byte) []byte {
	s.prf.begin(k)
	s.prf.h.Write(s.group[:])
	s.prf.h.Write(s.transcript[:])
	s.prf.h.Write(data)
	return s.prf.finish(k)
}

// clear overwrites the keys in the session's scratch memory.
func (s *Session) clear() {
	s.walk.clear()
	s.prf.clear()
}

// refillIVs draws IVs when all are used. An IV is no secret, and the key of each frame is its own, so drawing several at
// once costs nothing but memory.
func (s *Session) refillIVs() error {
	if s.ivsUsed < len(s.ivs) {
		return nil
	}
	if _, err := io.ReadFull(s.rand, s.ivs[:]); err != nil {
		return fmt.Errorf("drawing an IV: %w", err)
	}
	s.ivsUsed = 0
	return nil
}

// newStream returns the AES-256-CTR key stream.
func newStream(k *key, iv []byte) (cipher.Stream, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, fmt.Errorf("making a cipher: %w", err)
	}
	return cipher.NewCTR(block, iv), nil
}

// Behind reports whether a position that another member saw of this one's frames is one that this session has not
// reached: then an old disk was restored here.
func (s *Session) Behind(p Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(p.Sender) == s.self && s.behind(p.Start, p.Counter)
}

// behind reports whether this member has not sealed this frame yet.
func (s *Session) behind(start, counter uint32) bool {
	return start > s.start || start == s.start && counter >= s.counter
}

// Erase overwrites every key of the session, which is of no use afterwards.
func (s *Session) Erase() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erased = true
	clear(s.ck[:])
	for i := range s.senders {
		s.senders[i].erase()
	}
	s.clear()
}
