package peers

import (
	"context"
	"slices"
	"sync"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/relaynode/news"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// link is the session with one other relay node: one goroutine reads and answers, one tells news while there is some,
// one copies what the backlog here lacks. What the other says is believed as far as availability goes and no further.
type link struct {
	// static after construction
	p       *Peers
	conn    *session.Conn
	peer    peer.ID
	name    wire.Role
	dialled bool      // this side began it
	began   time.Time // by the process's own clock
	since   time.Time
	loop    *serve.Loop
	end     context.CancelCauseFunc
	news    *news.News
	copier  *copier
	done    chan struct{} // closed when the session is over

	mu     sync.Mutex
	online []peer.ID // guarded by mu: the members that are there, as it says; sorted
}

// serve is the life of a session with another relay node, after the handshake, until it and its stream have ended.
func (p *Peers) serve(ctx context.Context, conn *session.Conn, dialled bool) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(p.cfg.Closing, func() { end(context.Cause(p.cfg.Closing)) })()
	l := &link{
		p: p, conn: conn, peer: conn.Peer(), name: conn.Remote().Role, dialled: dialled, began: time.Now(), since: p.cfg.Now(),
		end: end, done: make(chan struct{}),
	}
	l.loop = &serve.Loop{
		Conn: conn, Rates: p.cfg.Door.RelayRates(l.peer), Handle: l.handle, Refused: l.refusedRequest, Numbered: true, Patience: p.cfg.Limits.Send,
	}
	defer close(l.done)
	l.news = news.New(l.teller(ctx, news.State{Roster: conn.RemoteRosterVersion()}))
	l.copier = newCopier(l)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	ended := l.serve(ctx)
	p.log.Debug("a session with a relay node ended", "relay", l.name, "reason", ended)
}

func (l *link) serve(ctx context.Context) error {
	p := l.p
	before, ok := p.enter(l)
	if !ok {
		_ = l.conn.Close()
		return errTwice
	}
	if before != nil {
		before.end(errTwice)
	}
	// The roster may have changed between the handshake and this line; from here on the door finds the session.
	if !p.cfg.Roster().Admits(l.peer) {
		l.end(errRevoked)
	}
	p.log.Info("relay node linked", "relay", l.name, "peer", l.peer)
	l.news.Set(news.Presence | news.Roster | news.Backlog)
	var beside sync.WaitGroup
	beside.Go(func() { l.copier.run(ctx) })
	beside.Go(func() { l.reserve(ctx) })
	err := l.loop.Listen(ctx)
	l.end(err)
	_ = l.conn.Close()
	l.news.Close()
	beside.Wait()
	l.over(context.Cause(ctx))
	return context.Cause(ctx)
}

// over tells everybody who wants to know that the session ended, unless another is there.
func (l *link) over(cause error) {
	p := l.p
	if !p.leave(l) {
		return
	}
	p.log.Info("relay node gone", "relay", l.name, "peer", l.peer, "reason", cause)
	p.cfg.Presence()
	p.Wake(l.members()...)
	p.cfg.Door.WatchPeer(l.peer)
}

// handle does what a message asks for.
func (l *link) handle(ctx context.Context, msg wire.Message) serve.Verdict {
	switch msg := msg.(type) {
	case *wire.Presence:
		l.hint(msg.Online)
	case *wire.Heads:
		l.copier.told(msg.Heads)
	case *wire.Fetch:
		return l.copies(ctx, msg)
	case *wire.Copied:
		l.copier.answered(msg.Seq, msg)
	case *wire.Refusal:
		l.copier.answered(msg.Seq, nil)
	case *wire.Forward:
		l.forwarded(ctx, msg.Mails)
	case *wire.Collected:
		return l.p.forwarder.collected(ctx, l, msg)
	case *wire.RosterUpdate:
		return l.p.cfg.TakeRoster(msg, string(l.name))
	}
	return serve.Verdict{}
}

// refusedRequest counts and logs what is refused.
func (l *link) refusedRequest(what string, v serve.Verdict) {
	l.p.cfg.Count("peer-"+what+"-refused: "+v.Code.String(), 1)
	l.p.log.Warn("a relay node's request is refused", "relay", l.name, "what", "peer-"+what, "code", v.Code, "text", v.Text, "err", v.Reason)
}

// hint takes the relay node's word on which members have a session with it. Whoever is not a member is left out.
func (l *link) hint(online []peer.ID) {
	roster := l.p.cfg.Roster()
	var there []peer.ID
	for _, p := range online {
		if _, _, ok := roster.MemberByPeer(p); ok {
			there = append(there, p)
		}
	}
	slices.Sort(there)
	there = slices.Compact(there)
	l.mu.Lock()
	before := l.online
	l.online = there
	l.mu.Unlock()
	if slices.Equal(before, there) {
		return
	}
	l.p.cfg.Presence()
	l.p.Wake(append(before, there...)...)
}

// members returns the members that are at this relay node, as it says.
func (l *link) members() []peer.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.online)
}

// has reports whether the relay node says that a member is there.
func (l *link) has(member peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := slices.BinarySearch(l.online, member)
	return ok
}

// teller returns what tells the other relay node the news, and ends the session when that fails.
func (l *link) teller(ctx context.Context, at news.State) func(news.Bits, []wire.BatchID) {
	var own []peer.ID
	first := true
	return func(bits news.Bits, _ []wire.BatchID) {
		err := l.p.cfg.News.TellRoster(ctx, l.loop.Send, &at)
		if now := l.p.cfg.Members.Present(); err == nil && bits&news.Presence != 0 && (first || !slices.Equal(now, own)) {
			first, own = false, now // only its own members: what it heard from others it does not hand on
			err = l.loop.Send(ctx, &wire.Presence{Online: now})
		}
		if err == nil && bits&news.Backlog != 0 {
			err = l.p.cfg.News.TellHeads(ctx, l.loop.Send, &at)
		}
		if err != nil && ctx.Err() == nil {
			l.end(err)
		}
	}
}

// copies answers a fetch.
func (l *link) copies(ctx context.Context, msg *wire.Fetch) serve.Verdict {
	r, v := serve.Range(ctx, msg, l.loop.Rates)
	if v.Code != 0 {
		return v
	}
	copies, more, err := l.p.cfg.Backlog.Copies(ctx, r, serve.FetchBytes)
	if err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the backlog failed", Reason: err}
	}
	reply, size := &wire.Copied{Seq: msg.Seq, More: more}, 0
	for _, c := range copies {
		size += len(c.Data)
		reply.Copies = append(reply.Copies, wire.Copy{Batch: c.Data, Age: max(0, l.p.cfg.Now().Sub(c.At))})
	}
	if !l.loop.Rates.Fetch(ctx, size) {
		return serve.Verdict{Code: wire.RefusedLimit, Text: "too many bytes fetched"}
	}
	return serve.Verdict{Reply: reply}
}

// reserve keeps a circuit slot at a relay node behind which this one is to be reached.
func (l *link) reserve(ctx context.Context) {
	if !slices.ContainsFunc(l.p.cfg.Via, func(a ma.Multiaddr) bool { _, id := peer.SplitAddr(a); return id == l.peer }) {
		return
	}
	for ctx.Err() == nil {
		until, err := overlay.Reserve(ctx, l.p.host, l.peer)
		wait := viaRetry
		if err == nil {
			l.p.log.Info("reachable through another relay node", "relay", l.name, "until", until)
			wait = max(time.Until(until)/2, viaRetry)
		} else if ctx.Err() == nil {
			l.p.log.Warn("no circuit slot at the relay node before this one", "relay", l.name, "err", err)
		}
		rest(ctx, wait, nil)
	}
}
