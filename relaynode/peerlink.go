package relaynode

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/relaynode/door"
	"conclave/relaynode/news"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func compareIDs(a, b peer.ID) int { return cmp.Compare(a, b) }

// peerLink is the session with one other relay node: one goroutine reads and answers, one tells news while there is some,
// one copies what the backlog here lacks. What the other says is believed as far as availability goes and no further.
type peerLink struct {
	// static after construction
	n       *Node
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

// serveLink is the life of a session with another relay node, after the handshake, until it and its stream have ended.
func (n *Node) serveLink(ctx context.Context, conn *session.Conn, dialled bool) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(n.ctx, func() { end(ErrClosed) })()
	l := &peerLink{
		n: n, conn: conn, peer: conn.Peer(), name: conn.Remote().Role, dialled: dialled, began: time.Now(), since: n.cfg.Now(),
		end: end, done: make(chan struct{}),
	}
	l.loop = &serve.Loop{
		Conn: conn, Rates: n.door.RelayRates(l.peer), Handle: l.handle, Refused: l.refusedRequest, Numbered: true, Patience: n.cfg.Limits.Send,
	}
	defer close(l.done)
	l.news = news.New(l.teller(ctx, news.Told{Roster: conn.RemoteRosterVersion()}))
	l.copier = newCopier(l)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	ended := l.serve(ctx)
	n.log.Debug("a session with a relay node ended", "relay", l.name, "reason", ended)
}

func (l *peerLink) serve(ctx context.Context) error {
	n := l.n
	before, ok := n.peering.enter(l)
	if !ok {
		_ = l.conn.Close()
		return errTwice
	}
	if before != nil {
		before.end(errTwice)
	}
	// The roster may have changed between the handshake and this line; from here on rosterChanged finds the session.
	if !n.admits(l.peer) {
		l.end(errRevoked)
	}
	n.log.Info("relay node linked", "relay", l.name, "peer", l.peer)
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
func (l *peerLink) over(cause error) {
	n := l.n
	if !n.peering.leave(l) {
		return
	}
	n.log.Info("relay node gone", "relay", l.name, "peer", l.peer, "reason", cause)
	n.presence.Ring()
	n.forwarder.wake(l.members()...)
	n.door.WatchPeer(l.peer)
}

// handle does what a message asks for.
func (l *peerLink) handle(ctx context.Context, msg wire.Message) serve.Verdict {
	switch msg := msg.(type) {
	case *wire.Presence:
		l.hint(msg.Online)
	case *wire.Heads:
		l.copier.told(msg.Heads)
	case *wire.Fetch:
		return l.n.copies(ctx, msg, l.loop.Rates)
	case *wire.Copied:
		l.copier.answered(msg.Seq, msg)
	case *wire.Refusal:
		l.copier.answered(msg.Seq, nil)
	case *wire.Forward:
		l.n.forwarded(ctx, l, msg.Mails)
	case *wire.Collected:
		return l.n.forwarder.collected(ctx, l, msg)
	case *wire.RosterUpdate:
		return l.n.offeredRoster(msg, string(l.name))
	}
	return serve.Verdict{}
}

// refusedRequest counts and logs what is refused.
func (l *peerLink) refusedRequest(what string, v serve.Verdict) {
	l.n.count.inc("peer-" + what + "-refused: " + v.Code.String())
	l.n.log.Warn("a relay node's request is refused", "relay", l.name, "what", "peer-"+what, "code", v.Code, "text", v.Text, "err", v.Reason)
}

// hint takes the relay node's word on which members have a session with it. Whoever is not a member is left out.
func (l *peerLink) hint(online []peer.ID) {
	roster := l.n.roster.Load()
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
	l.n.presence.Ring()
	l.n.forwarder.wake(append(before, there...)...)
}

// members returns the members that are at this relay node, as it says.
func (l *peerLink) members() []peer.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.online)
}

// has reports whether the relay node says that a member is there.
func (l *peerLink) has(member peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := slices.BinarySearch(l.online, member)
	return ok
}

// teller returns what tells the other relay node the news, and ends the session when that fails.
func (l *peerLink) teller(ctx context.Context, at news.Told) func(news.Bits, []wire.BatchID) {
	var own []peer.ID
	first := true
	return func(bits news.Bits, _ []wire.BatchID) {
		err := l.n.source.TellRoster(ctx, l.loop.Send, &at)
		if now := l.n.table.present(); err == nil && bits&news.Presence != 0 && (first || !slices.Equal(now, own)) {
			first, own = false, now // only its own members: what it heard from others it does not hand on
			err = l.loop.Send(ctx, &wire.Presence{Online: now})
		}
		if err == nil && bits&news.Backlog != 0 {
			err = l.n.source.TellHeads(ctx, l.loop.Send, &at)
		}
		if err != nil && ctx.Err() == nil {
			l.end(err)
		}
	}
}

// copies answers another relay node's fetch.
func (n *Node) copies(ctx context.Context, msg *wire.Fetch, of *door.Rates) serve.Verdict {
	r, v := serve.Range(ctx, msg, of)
	if v.Code != 0 {
		return v
	}
	copies, more, err := n.backlog.Copies(ctx, r, serve.FetchBytes)
	if err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the backlog failed", Reason: err}
	}
	reply, size := &wire.Copied{Seq: msg.Seq, More: more}, 0
	for _, c := range copies {
		size += len(c.Data)
		reply.Copies = append(reply.Copies, wire.Copy{Batch: c.Data, Age: max(0, n.cfg.Now().Sub(c.At))})
	}
	if !of.Fetch(ctx, size) {
		return serve.Verdict{Code: wire.RefusedLimit, Text: "too many bytes fetched"}
	}
	return serve.Verdict{Reply: reply}
}

// reserve keeps a circuit slot at a relay node behind which this one is to be reached.
func (l *peerLink) reserve(ctx context.Context) {
	if !slices.ContainsFunc(l.n.cfg.Via, func(a ma.Multiaddr) bool { _, id := peer.SplitAddr(a); return id == l.peer }) {
		return
	}
	for ctx.Err() == nil {
		until, err := overlay.Reserve(ctx, l.n.host, l.peer)
		wait := viaRetry
		if err == nil {
			l.n.log.Info("reachable through another relay node", "relay", l.name, "until", until)
			wait = max(time.Until(until)/2, viaRetry)
		} else if ctx.Err() == nil {
			l.n.log.Warn("no circuit slot at the relay node before this one", "relay", l.name, "err", err)
		}
		rest(ctx, wait, nil)
	}
}
