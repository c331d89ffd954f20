package frame

import "conclave/overlay/wire"

// Range is a run of frames of one sender and start.
type Range struct {
	Sender   uint16
	Start    uint32
	From, To uint32 // counters, both inclusive
}

// Progress is how far one start of a sender has been received.
type Progress struct {
	Sender uint16
	Role   wire.Role
	Start  uint32
	Next   uint32 // one more than the highest counter seen
	Floor  uint32 // what is not seen below this counter is lost
	Unseen int    // frames between Floor and Next that did not arrive yet
}

// Missing returns the frames of the hinted starts that were not opened and can still be: from 0, or where the window
// begins, to the hinted counter; what the hint says about the lowest counter held is not looked at. A hint is no proof:
// what it leads to is proved when it is opened. Starts that were never heard of count as wholly missing. This member's own frames,
// other sessions, starts whose keys are gone, and hints beyond what a frame may be ahead are left out.
func (s *Session) Missing(heads ...wire.Head) []Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Range
	for _, h := range heads {
		if h.Prefix != s.prefix || int(h.Sender) >= len(s.senders) || int(h.Sender) == s.self || h.High > MaxCounter {
			continue
		}
		from := &s.senders[h.Sender]
		if h.Start >= from.next {
			if h.Start-from.next <= MaxStartSteps {
				out = append(out, Range{Sender: h.Sender, Start: h.Start, To: h.High})
			}
			continue
		}
		if c := from.chain(h.Start); c != nil {
			out = append(out, c.missing(h)...)
		}
	}
	return out
}

// missing returns the runs of counters up to the hinted one that were not opened.
func (c *chain) missing(h wire.Head) []Range {
	var out []Range
	add := func(from, to uint32) {
		if n := len(out); n > 0 && out[n-1].To+1 == from {
			out[n-1].To = to
			return
		}
		out = append(out, Range{Sender: h.Sender, Start: h.Start, From: from, To: to})
	}
	for i := range c.skipped {
		if n := c.skipped[i].counter; n <= h.High {
			add(n, n)
		}
	}
	if c.next <= h.High {
		add(c.next, h.High)
	}
	return out
}

// Progress returns how far each start of each other member was received, in the order of senders and starts. Counters
// begin at 0, so a newcomer sees what it lacks.
func (s *Session) Progress() []Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Progress
	for i := range s.senders {
		for _, c := range s.senders[i].chains {
			out = append(out, Progress{
				Sender: uint16(i), Role: s.members[i].Role, Start: c.start, Next: c.next, Floor: c.floor, Unseen: len(c.skipped),
			})
		}
	}
	return out
}

// Ahead returns how many frames of its start before this one were not heard of. When it is above MaxSkipped, opening
// the frame now loses the earliest of them for good: a caller that is about to fetch them holds this one back.
func (s *Session) Ahead(h wire.FrameHeader) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.Prefix != s.prefix || int(h.Sender) >= len(s.senders) || int(h.Sender) == s.self {
		return 0
	}
	next := uint32(0)
	if c := s.senders[h.Sender].chain(h.Start); c != nil {
		next = c.next
	}
	if h.Counter < next || h.Start < s.senders[h.Sender].next && s.senders[h.Sender].chain(h.Start) == nil {
		return 0
	}
	return int(h.Counter - next)
}
