package frame

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"slices"

	"conclave/overlay/wire"
)

// stateVersion is the first byte of a state. The format is this package's own business: no other client reads it.
const stateVersion = 0x01

// Dirty reports whether the session has changed since the last committed checkpoint.
func (s *Session) Dirty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved != s.changes && !s.erased
}

// Checkpoint returns the session's state, in which this member's present start is used up and every frame opened so far
// is seen. The caller writes it durably and calls Committed.
func (s *Session) Checkpoint() Checkpoint { return s.CheckpointIn(nil) }

// CheckpointIn is Checkpoint with the state in the memory of room, if it is large enough.
func (s *Session) CheckpointIn(room []byte) Checkpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Checkpoint{state: s.marshal(room), session: s, changes: s.changes}
}

// Committed says that a checkpoint of this session is durably on disk; from the first on the session seals. Checkpoints
// of another session, and of this one in an earlier process, change nothing.
func (s *Session) Committed(c Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.session != s || s.erased {
		return
	}
	s.committed = true
	s.saved = max(s.saved, c.changes)
}

// marshal returns the state:
//
//	version 1 | group 32 | transcript 32 | self 2 | members 4
//	each member: role length 1 | role | identity 32
//	each member: next start 4 | root 32 | chains 4
//	  each chain: start 4 | next 4 | floor 4 | chain key 32 | skipped 4
//	    each skipped: counter 4 | AES key 32 | MAC key 32
//	SHA-256 of all before 32
func (s *Session) marshal(room []byte) []byte {
	if s.erased {
		return nil
	}
	b := slices.Grow(room[:0], s.stateSize())
	b = append(b, stateVersion)
	b = append(b, s.group[:]...)
	b = append(b, s.transcript[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(s.self))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.members)))
	for _, m := range s.members {
		b = append(b, byte(len(m.Role)))
		b = append(b, m.Role...)
		b = append(b, m.Identity...)
	}
	for i := range s.senders {
		b = s.senders[i].append(b)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// append appends the sender's part of a state.
func (s *sender) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, s.next)
	b = append(b, s.root[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.chains)))
	for _, c := range s.chains {
		b = binary.BigEndian.AppendUint32(b, c.start)
		b = binary.BigEndian.AppendUint32(b, c.next)
		b = binary.BigEndian.AppendUint32(b, c.floor)
		b = append(b, c.ck[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.skipped)))
		for i := range c.skipped {
			k := &c.skipped[i]
			b = binary.BigEndian.AppendUint32(b, k.counter)
			b = append(b, k.keys.aes[:]...)
			b = append(b, k.keys.mac[:]...)
		}
	}
	return b
}

// Sizes of the parts of a state.
const (
	stateHeaderSize  = 1 + 32 + 32 + 2 + 4
	stateMemberSize  = 1 + 32 // and the role
	stateSenderSize  = 4 + 32 + 4
	stateChainSize   = 4 + 4 + 4 + 32 + 4
	stateSkippedSize = 4 + 32 + 32
)

// stateSize returns the length of the state, so that growing does not leave copies of keys behind.
func (s *Session) stateSize() int {
	n := stateHeaderSize + sha256.Size
	for i := range s.members {
		n += stateMemberSize + len(s.members[i].Role) + stateSenderSize
		for _, c := range s.senders[i].chains {
			n += stateChainSize + len(c.skipped)*stateSkippedSize
		}
	}
	return n
}

// Restore returns the session of a state, in this member's next start. It seals nothing before a Checkpoint of it is
// Committed, so that two runs never use one start. A nil source of IVs means crypto/rand. It fails with ErrState when
// the bytes are not a state, and with ErrExhausted when there is no next start.
func Restore(state []byte, ivs io.Reader) (*Session, error) {
	if len(state) < stateHeaderSize+sha256.Size {
		return nil, ErrState
	}
	body := state[:len(state)-sha256.Size]
	if sha256.Sum256(body) != [32]byte(state[len(body):]) {
		return nil, ErrState
	}
	r := &reader{b: body}
	if r.take(1)[0] != stateVersion {
		return nil, ErrState
	}
	cfg := Config{Group: wire.GroupID(r.take(32)), Transcript: wire.Transcript(r.take(32)), Rand: ivs}
	cfg.Self = int(r.uint16())
	for range r.count(stateMemberSize) {
		role := wire.Role(r.take(int(r.take(1)[0])))
		cfg.Members = append(cfg.Members, Member{Role: role, Identity: ed25519.PublicKey(r.take(32))})
	}
	if r.failed || cfg.validate() != nil {
		return nil, ErrState
	}
	s := newSession(cfg)
	for i := range s.senders {
		r.sender(&s.senders[i])
	}
	if r.failed || len(r.b) != 0 {
		s.Erase()
		return nil, ErrState
	}
	if s.senders[s.self].next > maxStart {
		s.Erase()
		return nil, ErrExhausted
	}
	s.begin()
	return s, nil
}

// maxStart is the last start of a session.
const maxStart = 1<<31 - 1

// reader takes a state apart. After the first failure it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

// take returns the next n bytes, or n zeros.
func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.b) {
		r.failed = true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

// count returns the number of elements that follow, each of at least size bytes, so that nothing is allocated for more
// than there are.
func (r *reader) count(size int) int {
	n := int64(r.uint32())
	if n*int64(size) > int64(len(r.b)) {
		r.failed = true
		return 0
	}
	return int(n)
}

// sender reads one sender's part.
func (r *reader) sender(s *sender) {
	s.next = r.uint32()
	s.root = key(r.take(32))
	for range r.count(stateChainSize) {
		c := &chain{start: r.uint32(), next: r.uint32(), floor: r.uint32(), ck: key(r.take(32))}
		n := r.count(stateSkippedSize)
		c.skipped = make([]skippedKeys, 0, n)
		for range n {
			counter := r.uint32()
			keys := messageKeys{aes: key(r.take(32)), mac: key(r.take(32))}
			c.skipped = append(c.skipped, skippedKeys{counter: counter, keys: keys})
		}
		s.chains = append(s.chains, c)
	}
}
