package node

import (
	"time"

	"conclave/node/deadline"
	"conclave/node/uplink"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxFetches is how many fetches are under way at once. Arbitrary.
	maxFetches = 4
	// fetchTimeout is how long an answer is waited for.
	fetchTimeout = 10 * time.Second
	// fetchRetry is the first wait after a fetch that brought nothing; it doubles up to fetchRetryMax.
	fetchRetry    = 250 * time.Millisecond
	fetchRetryMax = 2 * time.Second
	// goneAfter is how long a gap waits that the backlog says it does not hold any more.
	goneAfter = 3 * time.Second
)

// fetcher asks for what lanes want: a relay node's backlog, the main one's first, then, when it has not got it, the others'
// and members that are near.
type fetcher struct {
	e     *engine
	under map[uint64]fetching
}

type fetching struct {
	lane  *lane
	by    source
	until time.Time
	asked wire.Fetch
}

func newFetcher(e *engine) fetcher { return fetcher{e: e, under: make(map[uint64]fetching)} }

// settle asks for what is due.
func (f *fetcher) settle() {
	now := time.Now()
	in := &f.e.inbound
	for l := range in.gaps {
		if l.fetching != 0 || l.due.IsZero() || now.Before(l.due) {
			continue
		}
		if len(f.under) >= maxFetches {
			return
		}
		f.ask(l, now)
	}
}

func (f *fetcher) ask(l *lane, now time.Time) {
	in := &f.e.inbound
	w, ok := l.queue.Want()
	if !ok {
		in.watch(l)
		return
	}
	m := wire.Fetch{Seq: f.e.relays.Number(), Prefix: l.chat.about.Transcript.Prefix(), Sender: l.sender, Start: w.Start, From: w.From, To: w.To, Signer: wire.Signer(l.member.Identity)}
	sources := f.sources(l)
	if len(sources) == 0 || !sources[l.tries%len(sources)].Ask(&m) {
		// Alone one waits. Others who are there and cannot be asked may send what is missing by themselves.
		if !f.e.n.topic.Reaches() {
			l.vain = time.Time{}
		} else if l.inVain() >= f.e.cfg.Timing.GapGiveUp {
			f.giveUp(l)
			return
		}
		l.due = now.Add(fetchRetry)
		return
	}
	l.fetching, l.due = m.Seq, time.Time{}
	f.under[m.Seq] = fetching{lane: l, by: sources[l.tries%len(sources)], until: now.Add(fetchTimeout), asked: m}
}

// fetched takes in an answer. The batches are verified.
func (f *fetcher) fetched(by source, seq uint64, batches []wire.Batch, more bool) {
	u, ok := f.under[seq]
	if !ok || u.by != by {
		return
	}
	in, l := &f.e.inbound, u.lane
	delete(f.under, seq)
	l.fetching = 0
	_, relay := by.(*uplink.Relay)
	for _, b := range batches {
		f.e.keep.Received(b, relay)
		in.take(b, false)
	}
	if len(batches) > 0 {
		f.e.carried.fetched()
	}
	in.flow(l)
	w, still := l.queue.Want()
	switch {
	case !still:
	case w.Start != u.asked.Start || w.From != u.asked.From:
		l.due = time.Now()
	case more && len(batches) > 0:
		l.due = time.Now().Add(fetchRetry) // it has more, yet nothing of this was what was asked for
	default:
		f.empty(l)
	}
}

// empty is told when a fetch brought nothing of what was missing. A sender's batch that the relay node never got is
// sent to it again after two seconds, so a real gap is worth waiting for.
func (f *fetcher) empty(l *lane) {
	if l.tries++; l.tries < len(f.sources(l)) {
		l.due = time.Now() // somebody else may have it
		return
	}
	w, _ := l.queue.Want()
	waited := l.inVain()
	gone := w.Low > w.To && waited >= goneAfter
	if w.Tail || gone || waited >= f.e.cfg.Timing.GapGiveUp {
		f.giveUp(l)
		return
	}
	l.due = time.Now().Add(backoff.Wait(fetchRetry, fetchRetryMax, l.tries-1))
}

// giveUp goes past what cannot be had, and tells if something was lost.
func (f *fetcher) giveUp(l *lane) {
	e := f.e
	w, ok := l.queue.Want()
	if ok {
		if lost := l.queue.GiveUp(w); lost > 0 {
			e.cfg.Log.Warn("frames are missing and cannot be fetched", "from", l.member.Role, "frames", lost)
			e.publish(Gap{At: e.at(), From: l.member.Role, Epoch: l.chat.about.Number, Frames: uint64(lost)})
		}
	}
	e.inbound.touch(l)
}

// refused is told when a relay node refuses a fetch, or does not answer it.
func (f *fetcher) refused(by source, seq uint64) {
	u, ok := f.under[seq]
	if !ok || u.by != by {
		return
	}
	delete(f.under, seq)
	u.lane.fetching = 0
	u.lane.due = time.Now().Add(fetchRetryMax)
	if u.lane.tries++; u.lane.tries < len(f.sources(u.lane)) {
		u.lane.due = time.Now()
	}
}

// down forgets what was asked of a link that is gone. Gaps are not given up before somebody could be asked for long
// enough in one go: what is missing was stored, perhaps, while nobody here could have got it.
func (f *fetcher) down(of source) {
	for l := range f.e.inbound.gaps {
		l.vain = time.Time{}
	}
	for seq, u := range f.under {
		if u.by == of {
			u.lane.fetching, u.lane.due = 0, time.Now()
			delete(f.under, seq)
		}
	}
}

func (f *fetcher) forget(l *lane) {
	delete(f.under, l.fetching)
	l.fetching = 0
}

// tick drops fetches that nobody answered.
func (f *fetcher) tick() {
	now := time.Now()
	for seq, u := range f.under {
		if !now.Before(u.until) {
			f.refused(u.by, seq)
		}
	}
}

func (f *fetcher) deadline() (due time.Time) {
	for _, u := range f.under {
		due = deadline.Sooner(due, u.until)
	}
	if len(f.under) >= maxFetches {
		return due
	}
	for l := range f.e.inbound.gaps {
		due = deadline.Sooner(due, l.due)
	}
	return due
}

// headsAre takes a relay node's word on what its backlog holds.
func (in *inbound) headsAre(relay peer.ID, heads []wire.Head, full bool) {
	if in.e.cfg.faults.dropHeads {
		return
	}
	if full {
		in.forgetHeads(relay)
	}
	for _, h := range heads {
		if ch := in.e.chats.byPrefix[h.Prefix]; ch != nil {
			in.hint(ch, h)
			continue
		}
		in.keepHead(relay, h)
	}
}

// forgetHeads drops what a relay node said of sessions that are not known here.
func (in *inbound) forgetHeads(relay peer.ID) {
	for p, of := range in.heads {
		for key := range of {
			if key.relay == relay {
				delete(of, key)
				in.headCount--
			}
		}
		if len(of) == 0 {
			delete(in.heads, p)
		}
	}
}

func (in *inbound) keepHead(relay peer.ID, h wire.Head) {
	of, key := in.heads[h.Prefix], headKey{h.Sender, h.Start, h.Signer, relay}
	if of == nil {
		of = make(map[headKey]wire.Head)
		in.heads[h.Prefix] = of
	}
	if _, known := of[key]; !known {
		if in.headCount >= maxStrayHeads {
			return
		}
		in.headCount++
	}
	of[key] = h
}

// hint lets a head lead to a fetch, after the topic had its chance.
func (in *inbound) hint(ch *chat, h wire.Head) {
	if int(h.Sender) >= len(ch.lanes) || ch.lanes[h.Sender] == nil || h.Low > h.High || in.e.cfg.LeaveMessages {
		return
	}
	l := ch.lanes[h.Sender]
	if h.Signer != wire.Signer(l.member.Identity) {
		return // frames that another member signed with this one's index: refused when they come, so not waited for
	}
	l.queue.Hint(h.Start, h.Low, h.High)
	in.touch(l)
}

// tick and deadline serve the engine's timer.
func (in *inbound) tick() {
	in.fetch.tick()
	in.acks.tick(in.e)
	in.previous.tick()
}

func (in *inbound) deadline() time.Time {
	return deadline.Sooner(deadline.Sooner(in.fetch.deadline(), in.acks.due), in.previous.due)
}
