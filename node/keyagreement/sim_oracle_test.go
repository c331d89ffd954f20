package keyagreement

import (
	"strings"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/record"
	"conclave/overlay/wire"
)

// oracle sees everything and says what must never happen.
type oracle struct {
	keys      map[wire.Transcript]event.Session
	hashes    map[uint64]wire.RosterHash
	readers   map[wire.Transcript]map[wire.Role]time.Duration // who completed it, and when
	drawn     map[drawing]wire.Announcement
	openings  map[wire.EpochID]wire.Opening
	opener    map[wire.EpochID]time.Duration
	instances map[wire.Role][]wire.Instance
	said      []saying
	maxStart  map[wire.Role]map[wire.Transcript]int
	behind    map[wire.Role]map[wire.Transcript]bool
	split     map[wire.EpochID]bool
	last      map[wire.Role]map[wire.Role]time.Duration // contributions by opener
	lastAny   map[wire.Role]time.Duration
	contribs  map[wire.EpochID]int
	silent    map[wire.Role]int // notes about silence
	opened    int
	by        map[wire.EpochID]wire.Role             // who opened what was completed
	removed   map[wire.Role]bool                     // ever
	known     map[wire.Role]map[wire.RosterHash]bool // rosters a member's machine has had
	first     time.Duration                          // opening
	lastUse   time.Duration
	holds     int
}

type drawing struct {
	role     wire.Role
	instance wire.Instance
	epoch    wire.EpochID
}

type saying struct {
	t    wire.Transcript
	from wire.Role
	at   time.Duration
}

func (o *oracle) init() {
	*o = oracle{
		keys: map[wire.Transcript]event.Session{}, hashes: map[uint64]wire.RosterHash{}, readers: map[wire.Transcript]map[wire.Role]time.Duration{},
		drawn: map[drawing]wire.Announcement{}, openings: map[wire.EpochID]wire.Opening{}, opener: map[wire.EpochID]time.Duration{},
		instances: map[wire.Role][]wire.Instance{}, maxStart: map[wire.Role]map[wire.Transcript]int{},
		behind: map[wire.Role]map[wire.Transcript]bool{}, split: map[wire.EpochID]bool{},
		last: map[wire.Role]map[wire.Role]time.Duration{}, lastAny: map[wire.Role]time.Duration{},
		contribs: map[wire.EpochID]int{}, silent: map[wire.Role]int{}, removed: map[wire.Role]bool{}, by: map[wire.EpochID]wire.Role{}, known: map[wire.Role]map[wire.RosterHash]bool{},
	}
}

func (o *oracle) booted(n *node, i wire.Instance) {
	o.instances[n.role] = append(o.instances[n.role], i)
	o.last[n.role] = map[wire.Role]time.Duration{}
	delete(o.lastAny, n.role)
}

// view is what the oracle looks at before a step.
type view struct {
	hadKey bool
	want   bool // somebody wants an epoch
}

func (o *oracle) before(n *node) view {
	if n.cheat != honest {
		return view{}
	}
	saved := n.m.Now
	n.m.Now = n.clock()
	v := view{}
	for _, r := range n.m.asked.Newest {
		v.want = v.want || r.Want
	}
	v.hadKey = judge(n.m).best(true) != nil
	n.m.Now = saved
	return v
}

// after looks at a step's outputs before any is performed.
func (o *oracle) after(n *node, in event.Input, v view, out []event.Output) {
	if n.cheat != honest {
		return
	}
	if c, ok := in.(event.Control); ok {
		s, _ := wire.UnmarshalSigned(c.Raw)
		p, err := wire.UnmarshalRequest(s.Payload)
		v.want = v.want || err == nil && p.Want
	}
	o.firstKey(n)
	for i, x := range out {
		b, ok := x.(event.Broadcast)
		if !ok {
			continue
		}
		s, err := wire.UnmarshalSigned(b.Raw)
		if err != nil || s.Signer != n.member.Identity {
			continue
		}
		switch s.Type {
		case wire.SignedRequest:
			p, _ := wire.UnmarshalRequest(s.Payload)
			v.want = v.want || p.Want
		case wire.SignedOpening:
			p, _ := wire.UnmarshalOpening(s.Payload)
			id := wire.EpochID(hash256(s.Payload))
			if _, again := o.openings[id]; again {
				continue
			}
			o.openings[id] = p
			o.opening(n, v, p)
		case wire.SignedAnnouncement:
			p, _ := wire.UnmarshalAnnouncement(s.Payload)
			o.announcement(n, v, p, out, i)
		}
	}
}

// opening judges an honest member's opening.
func (o *oracle) opening(n *node, v view, p wire.Opening) {
	o.opened++
	if o.opened == 1 {
		o.first = n.w.now
	}
	if n.clock().After(n.m.roster.Expires) {
		n.w.failf("%s opens an epoch under an expired roster", n.role)
	}
	if ms := uint64(n.clock().UnixMilli()); p.Number < ms {
		n.w.failf("%s opens number %d below its clock", n.role, p.Number)
	}
	if !v.want {
		n.w.failf("%s opens though nobody wants an epoch", n.role)
	}
	for _, c := range p.Contributors {
		if _, cheat := n.m.evidence[c.Role]; cheat {
			n.w.failf("%s opens with %s, who announced twice", n.role, c.Role)
		}
	}
}

// announcement judges an honest member's announcement.
func (o *oracle) announcement(n *node, v view, p wire.Announcement, out []event.Output, at int) {
	d := drawing{p.Role, p.Instance, p.Epoch}
	if old, ok := o.drawn[d]; ok {
		if old.Commitment != p.Commitment {
			n.w.failf("%s draws twice for one instance and epoch", n.role)
		}
		return
	}
	o.drawn[d] = p
	o.contribs[p.Epoch]++
	e := n.m.byID[p.Epoch]
	if e == nil {
		return
	}
	if n.clock().After(n.m.roster.Expires) {
		n.w.failf("%s contributes under an expired roster", n.role)
	}
	if e.opening.RosterVersion != n.roster.Version {
		n.w.failf("%s contributes under roster %d and has %d", n.role, e.opening.RosterVersion, n.roster.Version)
	}
	opener := e.opening.Opener
	now := time.Duration(n.clock().Sub(simEpochStart))
	if last, ok := o.last[n.role][opener]; ok && now-last < n.w.limits.PerOpener && now >= last {
		n.w.failf("%s answers %s again after %v", n.role, opener, now-last)
	}
	if last, ok := o.lastAny[n.role]; ok && v.hadKey && n.m.hasOther(e) && now-last < n.w.limits.PerGroup && now >= last {
		n.w.failf("%s answers openings %v apart", n.role, now-last)
	}
	o.last[n.role][opener], o.lastAny[n.role] = now, now
	for _, x := range out[:at] {
		if w, ok := x.(event.Wrap); ok && w.Parcel.Epoch == p.Epoch {
			n.w.failf("%s wraps before it announces", n.role)
		}
	}
	to := map[wire.Role]bool{}
	for _, x := range out {
		if w, ok := x.(event.Wrap); ok && w.Parcel.Epoch == p.Epoch {
			to[w.Parcel.To] = true
		}
	}
	if len(to) != len(e.roster.Members)-1 && n.m.connected() {
		n.w.failf("%s offers its share to %d of %d", n.role, len(to), len(e.roster.Members)-1)
	}
}

// outputs judges what is about to be performed.
func (o *oracle) outputs(n *node, out []event.Output) {
	if n.cheat != honest {
		return
	}
	for _, x := range out {
		switch x := x.(type) {
		case event.Confirmed:
			if _, ok := o.readers[x.Transcript][x.Role]; !ok {
				n.w.failf("%s takes %s for confirmed, who has no such key", n.role, x.Role)
			}
		case event.Note:
			if strings.Contains(x.Text, "silent") {
				o.silent[n.role]++
			}
		}
	}
}

// completed takes a session and compares it with everybody else's.
func (o *oracle) completed(n *node, s event.Session) {
	if old, ok := o.keys[s.Transcript]; ok {
		if !old.PRK.Equal(s.PRK) && n.cheat == honest {
			n.w.failf("%s holds transcript %v with another key", n.role, s.Transcript)
		}
	} else if n.cheat == honest {
		o.keys[s.Transcript] = s
	}
	if len(s.Contributors) < min(2, len(s.Members)) && n.cheat == honest {
		n.w.failf("%s alone chose the key of %v", s.Contributors[0], s.Transcript)
	}
	if e := n.m.byID[s.ID]; e != nil {
		o.by[s.ID] = e.opening.Opener
	}
	if o.readers[s.Transcript] == nil {
		o.readers[s.Transcript] = map[wire.Role]time.Duration{}
	}
	o.readers[s.Transcript][n.role] = n.w.now
}

// committed looks at the disk after a step's transaction.
func (o *oracle) committed(n *node, out []event.Output) {
	if n.cheat != honest {
		return
	}
	for _, x := range out {
		b, ok := x.(event.Broadcast)
		if !ok {
			continue
		}
		s, err := wire.UnmarshalSigned(b.Raw)
		if err != nil || s.Type != wire.SignedAnnouncement || s.Signer != n.member.Identity {
			continue
		}
		p, _ := wire.UnmarshalAnnouncement(s.Payload)
		_, part := n.disk[record.Part(p.Epoch, n.role)]
		_, session := n.disk[record.Session(p.Epoch)]
		if !part && !session {
			n.w.failf("%s announces what is not on its disk", n.role)
		}
	}
	if o.known[n.role] == nil {
		o.known[n.role] = map[wire.RosterHash]bool{}
	}
	o.known[n.role][n.m.roster.Hash] = true
	news := false
	for _, x := range out {
		_, ok := x.(event.Confirmed)
		news = news || ok
	}
	if news {
		o.erased(n)
	}
}

// erased checks that no share is on a disk that nobody needs any more.
func (o *oracle) erased(n *node) {
	if n.m == nil || n.cheat != honest || n.m.self < 0 {
		return
	}
	for _, e := range n.m.byID {
		if e.session == nil {
			continue
		}
		all := true
		for _, x := range e.roster.Members {
			if _, ok := n.disk[record.Confirmed(e.id, x.Role)]; !ok && x.Role != n.role && n.m.roster.Holds(x) {
				all = false
				break
			}
		}
		if !all {
			continue
		}
		for _, c := range e.opening.Contributors {
			if _, ok := n.disk[record.Part(e.id, c.Role)]; ok {
				n.w.failf("%s keeps a share of %v though all have confirmed", n.role, e.id)
			}
		}
	}
}
