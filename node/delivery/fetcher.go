package delivery

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"conclave/node/deadline"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"
)

const (
	// maxFetches is how many requests are under way at once. Arbitrary.
	maxFetches = 4
	// fetchTimeout is how long an answer is waited for.
	fetchTimeout = 10 * time.Second
	// fetchRetry is the first wait after a request that brought nothing; it doubles up to fetchRetryMax.
	fetchRetry    = 250 * time.Millisecond
	fetchRetryMax = 2 * time.Second
	// lastChance is how much of its time a gap has at least after somebody came who can be asked.
	lastChance = 2 * time.Second
	// starvedChance is how much time a gap has when another one was given up because nobody brought anything: those that
	// were found one after the other would hold back what comes after them for as often as long.
	starvedChance = 500 * time.Millisecond
	// maxClaims is how many requests may be under way for what nothing but a claim says to exist.
	maxClaims = maxFetches / 2
	// goneAfter is how long a gap waits that the backlog says it does not hold any more.
	goneAfter = 3 * time.Second
	// maxMembersAsked is how many members are asked for what a lane misses before it waits. Arbitrary.
	maxMembersAsked = 4
)

// fetcher asks for what lanes miss: a relay node's backlog, the main one's first, then, when it has not got it, the others' and
// members'. What nobody has is given up.
type fetcher struct {
	cfg   *Config
	emit  func(Output)
	touch func(*lane) // has the reader look at a lane

	gaps    []*lane // lanes that wait for something, in the order in which they began to
	sources []Source
	under   map[uint64]request
	starved bool // a gap was given up because its time was over, and no answer has brought anything missing since
}

// request is an Ask that is not answered.
type request struct {
	lane  *lane
	to    Source
	until time.Time
	asked wire.Fetch
}

func newFetcher(cfg *Config, emit func(Output)) *fetcher {
	return &fetcher{cfg: cfg, emit: emit, under: make(map[uint64]request)}
}

// watch looks whether a lane misses something. While the reader is paused nothing is asked for.
func (f *fetcher) watch(l *lane, paused bool, now time.Time) {
	if !paused && l.gapped(f.cfg.Timing, f.starved, now) {
		if !slices.Contains(f.gaps, l) {
			f.gaps = append(f.gaps, l)
		}
		return
	}
	f.unwatch(l)
}

func (f *fetcher) unwatch(l *lane) {
	f.gaps = slices.DeleteFunc(f.gaps, func(x *lane) bool { return x == l })
}

// settle asks for what is due. reaches says that the topic has somebody in it.
func (f *fetcher) settle(reaches bool, now time.Time) {
	for _, claimed := range []bool{false, true} { // what somebody only claims to have comes last
		for _, l := range slices.Clone(f.gaps) {
			if l.gap.want.Claimed != claimed {
				continue
			}
			if !l.gap.since.IsZero() && l.gap.age(now) >= f.cfg.Timing.GapGiveUp { // defence: wants-end
				f.forget(l)
				f.starved = true
				f.giveUp(l)
				continue
			}
			if l.gap.fetching != 0 || l.gap.due.IsZero() || now.Before(l.gap.due) {
				continue
			}
			if len(f.sources) > 0 {
				l.gap.run(now) // whether there is room to ask or not
			}
			if f.room(claimed) {
				f.ask(l, reaches, now)
			}
		}
	}
}

// room reports whether one more request may be under way.
func (f *fetcher) room(claimed bool) bool {
	if len(f.under) >= maxFetches { // defence: fetch-bound
		return false
	}
	claims := 0
	for _, r := range f.under {
		if r.lane.gap.want.Claimed {
			claims++
		}
	}
	return !claimed || claims < maxClaims
}

func (f *fetcher) ask(l *lane, reaches bool, now time.Time) {
	w, ok := l.queue.Want()
	if !ok {
		f.watch(l, false, now)
		return
	}
	sources := f.of(l)
	if len(sources) == 0 {
		f.alone(l, reaches, now)
		return
	}
	r := request{lane: l, to: sources[l.gap.tries%len(sources)], until: now.Add(fetchTimeout), asked: wire.Fetch{
		Seq: f.cfg.Number(), Prefix: l.session.prefix, Sender: l.sender, Start: w.Start, From: w.From, To: w.To,
		Signer: wire.Signer(l.member.Identity),
	}}
	l.gap.run(now)
	l.gap.fetching, l.gap.due = r.asked.Seq, time.Time{}
	f.under[r.asked.Seq] = r
	f.emit(Ask{Source: r.to.ID, Fetch: r.asked})
}

// alone waits when there is nobody to be asked. Others who are there and cannot be asked may send what is missing by
// themselves; without them, time that passes says nothing.
func (f *fetcher) alone(l *lane, reaches bool, now time.Time) {
	if reaches {
		l.gap.run(now)
	} else {
		l.gap.pause(now, f.cfg.Timing.GapGiveUp, lastChance) // defence: alone-waits
	}
	l.gap.due = now.Add(fetchRetry)
}

// of returns whom to ask for what a lane misses: relay nodes, then its sender, then other members.
func (f *fetcher) of(l *lane) []Source {
	var list, members []Source
	for _, s := range f.sources {
		if s.Relay {
			list = append(list, s)
		} else {
			members = append(members, s)
		}
	}
	slices.SortFunc(members, func(a, b Source) int {
		if first := l.member.Role; (a.Role == first) != (b.Role == first) {
			return map[bool]int{true: -1, false: 1}[a.Role == first]
		}
		return cmp.Or(strings.Compare(a.Peer, b.Peer), strings.Compare(a.ID, b.ID))
	})
	return append(list, members[:min(len(members), maxMembersAsked)]...)
}

// answer takes out a request that its source answers, and reports whether a relay node is the source.
func (f *fetcher) answer(source string, seq uint64) (r request, relay, ok bool) {
	r, ok = f.under[seq]
	if !ok || r.to.ID != source { // defence: answer-asked
		return request{}, false, false
	}
	delete(f.under, seq)
	r.lane.gap.fetching = 0
	return r, r.to.Relay, true
}

// after decides how to go on when an answer was taken in. more says that the source has more of what was asked for, brought
// that it brought something that was missing.
func (f *fetcher) after(r request, more, brought bool, now time.Time) {
	l := r.lane
	if brought {
		l.gap.waited, f.starved = 0, false
	}
	w, still := l.queue.Want()
	switch {
	case !still:
	case w.Start != r.asked.Start || w.From != r.asked.From:
		l.gap.due = now
	case more:
		l.gap.due = now.Add(fetchRetry) // yet nothing of this was what was asked for
	default:
		f.empty(l, now)
	}
}

// empty is told when a request brought nothing of what is missing. A batch that the relay node never got is sent to it again
// by its sender after two seconds, so a real gap is worth waiting for.
func (f *fetcher) empty(l *lane, now time.Time) {
	if l.gap.tries++; l.gap.tries < len(f.of(l)) { // defence: others-asked
		l.gap.due = now // somebody else may have it
		return
	}
	w, _ := l.queue.Want()
	if w.Tail || w.Claimed || w.Low > w.To && l.gap.age(now) >= goneAfter {
		f.giveUp(l)
		return
	}
	l.gap.due = now.Add(backoff.Wait(fetchRetry, fetchRetryMax, l.gap.tries-1))
}

// giveUp goes past what cannot be had, and tells if something was lost.
func (f *fetcher) giveUp(l *lane) {
	if w, ok := l.queue.Want(); ok {
		lost := l.queue.GiveUp(w)
		if w.Tail || w.Claimed {
			l.queue.Want()          // which goes on to the next start
			l.gap.at = l.queue.At() // nothing came: what is missing there is as old
		}
		if lost > 0 {
			f.cfg.Log.Warn("frames are missing and cannot be fetched", "from", l.member.Role, "frames", lost)
			f.emit(Gap{From: l.member.Role, Epoch: l.session.Epoch, Frames: uint64(lost)})
		}
	}
	f.touch(l)
}

// refused is told that a source refuses a request, or does not answer it.
func (f *fetcher) refused(source string, seq uint64, now time.Time) {
	r, _, ok := f.answer(source, seq)
	if !ok {
		return
	}
	r.lane.gap.due = now.Add(fetchRetryMax)
	if r.lane.gap.tries++; r.lane.gap.tries < len(f.of(r.lane)) {
		r.lane.gap.due = now
	}
}

// notAsked is told that a request found no room on its way out.
func (f *fetcher) notAsked(seq uint64, now time.Time) {
	if r, ok := f.under[seq]; ok {
		f.forget(r.lane)
		f.alone(r.lane, true, now)
	}
}

// sourcesAre takes in who can be asked now, and returns the peers of members that are gone. What was asked of somebody who is
// gone is asked again.
func (f *fetcher) sourcesAre(list []Source, now time.Time) (gone []string) {
	here := func(in []Source, id string) bool {
		return slices.ContainsFunc(in, func(s Source) bool { return s.ID == id })
	}
	before := f.sources
	f.sources = list
	for _, s := range before {
		if !here(list, s.ID) && !s.Relay {
			gone = append(gone, s.Peer)
		}
	}
	news := slices.ContainsFunc(list, func(s Source) bool { return !here(before, s.ID) })
	for _, l := range f.gaps {
		if r, asked := f.under[l.gap.fetching]; asked && !here(list, r.to.ID) {
			f.forget(l)
			l.gap.due = now
		}
		if news && l.gap.fetching == 0 {
			l.gap.due = now
		}
	}
	return gone
}

// forget drops what was asked for a lane.
func (f *fetcher) forget(l *lane) {
	delete(f.under, l.gap.fetching)
	l.gap.fetching = 0
}

// drop forgets a lane.
func (f *fetcher) drop(l *lane) {
	f.unwatch(l)
	f.forget(l)
}

// tick drops requests that nobody answered.
func (f *fetcher) tick(now time.Time) {
	for _, seq := range slices.Sorted(maps.Keys(f.under)) {
		if r := f.under[seq]; !now.Before(r.until) {
			f.refused(r.to.ID, seq, now)
		}
	}
}

func (f *fetcher) deadline() (due time.Time) {
	for _, r := range f.under {
		due = deadline.Sooner(due, r.until)
	}
	for _, l := range f.gaps {
		if !l.gap.since.IsZero() {
			due = deadline.Sooner(due, l.gap.since.Add(f.cfg.Timing.GapGiveUp-l.gap.waited))
		}
		if f.room(l.gap.want.Claimed) {
			due = deadline.Sooner(due, l.gap.due)
		}
	}
	return due
}
