package delivery

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"strings"

	"conclave/node/frame"
	"conclave/node/order"
	"conclave/overlay/wire"
)

const (
	// maxUnknownFrames and maxUnknownBytes bound the frames that are kept though their session is not known here. What
	// finds no room is fetched from the backlog when the session is complete.
	maxUnknownFrames = 4096
	maxUnknownBytes  = 8 << 20
	// maxUnknownHeads bounds the heads of sessions that are not known here.
	maxUnknownHeads = wire.MaxListItems
)

// sessions are the sessions that can be read, and what came of others.
type sessions struct {
	all      map[wire.Transcript]*session
	byPrefix map[wire.Prefix]*session
	unknown  unknown
}

// session is the keys of an epoch and the lanes in which frames wait for their turn.
type session struct {
	Session
	prefix wire.Prefix
	lanes  []*lane              // by sender index; nil for this member
	index  map[wire.Role]uint16 // of each sender
}

func newSessions() sessions {
	return sessions{
		all: make(map[wire.Transcript]*session), byPrefix: make(map[wire.Prefix]*session),
		unknown: unknown{frames: make(map[wire.Prefix][]earlyFrame), heads: make(map[wire.Prefix]map[headKey]wire.Head)},
	}
}

// add enters a session, with a lane for each sender at the position up to which its frames were opened.
func (c *sessions) add(in Session) *session {
	s := &session{Session: in, prefix: in.Transcript.Prefix(), index: make(map[wire.Role]uint16)}
	at := make(map[uint16]order.Position)
	for _, p := range in.Frames.Progress() { // ascending starts
		at[p.Sender] = order.Position{Start: p.Start, Counter: p.Next}
	}
	for i, m := range in.Frames.Members() {
		s.index[m.Role] = uint16(i)
		var l *lane
		if i != in.Frames.Self() {
			l = newLane(s, uint16(i), m, at[uint16(i)])
		}
		s.lanes = append(s.lanes, l)
	}
	c.all[s.Transcript] = s
	c.byPrefix[s.prefix] = s
	return s
}

func (c *sessions) remove(s *session) {
	delete(c.all, s.Transcript)
	if c.byPrefix[s.prefix] == s {
		delete(c.byPrefix, s.prefix)
	}
}

// lane returns the lane of the sender with that index, if it is another member and has that identity key, else nil.
func (s *session) lane(sender uint16, identity ed25519.PublicKey) *lane {
	if int(sender) >= len(s.lanes) {
		return nil
	}
	if l := s.lanes[sender]; l != nil && bytes.Equal(l.member.Identity, identity) { // defence: frame-signer
		return l
	}
	return nil
}

// own reports whether a frame is this member's, and whether it is one that this member does not know of.
func (s *session) own(sender uint16, signer, data []byte) (mine, behind bool) {
	if int(sender) != s.Frames.Self() || !bytes.Equal(s.Frames.Members()[sender].Identity, signer) {
		return false, false
	}
	_, err := s.Frames.Open(signer, data)
	return true, errors.Is(err, frame.ErrBehind)
}

// older orders sessions by epoch number.
func older(a, b *session) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), strings.Compare(string(a.Transcript[:]), string(b.Transcript[:])))
}

// unknown is what came of sessions that are not known here.
type unknown struct {
	frames     map[wire.Prefix][]earlyFrame
	frameCount int
	frameBytes int
	heads      map[wire.Prefix]map[headKey]wire.Head
	headCount  int
}

// earlyFrame is a frame of a session that is not known here.
type earlyFrame struct {
	signer []byte
	data   []byte
}

type headKey struct {
	sender uint16
	start  uint32
	signer wire.Signer
	peer   string // who said so
}

// compare orders keys, so that the same happens again in a simulation.
func (k headKey) compare(other headKey) int {
	return cmp.Or(cmp.Compare(k.sender, other.sender), cmp.Compare(k.start, other.start), strings.Compare(k.peer, other.peer),
		bytes.Compare(k.signer[:], other.signer[:]))
}

// keepFrame keeps a frame until its session is complete, if there is room.
func (u *unknown) keepFrame(p wire.Prefix, signer, data []byte) {
	if u.frameCount >= maxUnknownFrames || u.frameBytes+len(data) > maxUnknownBytes { // defence: stray-bound
		return
	}
	u.frames[p] = append(u.frames[p], earlyFrame{signer, data})
	u.frameCount++
	u.frameBytes += len(data)
}

// keepHead keeps what somebody says of a backlog, if there is room.
func (u *unknown) keepHead(peer string, h wire.Head) {
	of, key := u.heads[h.Prefix], headKey{h.Sender, h.Start, h.Signer, peer}
	if of == nil {
		of = make(map[headKey]wire.Head)
		u.heads[h.Prefix] = of
	}
	if _, known := of[key]; !known {
		if u.headCount >= maxUnknownHeads { // defence: head-bound
			return
		}
		u.headCount++
	}
	of[key] = h
}

// forget drops what somebody said of its backlog.
func (u *unknown) forget(peer string) {
	for p, of := range u.heads {
		for key := range of {
			if key.peer == peer {
				delete(of, key)
				u.headCount--
			}
		}
		if len(of) == 0 {
			delete(u.heads, p)
		}
	}
}

// take takes out what came of a session.
func (u *unknown) take(p wire.Prefix) (frames []earlyFrame, heads []wire.Head) {
	frames = u.frames[p]
	for _, key := range slices.SortedFunc(maps.Keys(u.heads[p]), headKey.compare) {
		heads = append(heads, u.heads[p][key])
	}
	delete(u.frames, p)
	delete(u.heads, p)
	u.frameCount -= len(frames)
	for _, f := range frames {
		u.frameBytes -= len(f.data)
	}
	u.headCount -= len(heads)
	return frames, heads
}
