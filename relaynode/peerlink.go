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
	"conclave/relaynode/backlog"
	"conclave/relaynode/door"

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
	rates   *door.Rates
	end     context.CancelCauseFunc
	news    *news
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
		rates: n.door.RelayRates(conn.Peer()), end: end, done: make(chan struct{}),
	}
	defer close(l.done)
	l.news = newNews(l.teller(ctx, told{roster: conn.RemoteRosterVersion()}))
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
	l.news.set(newsPresence | newsRoster | newsHeads)
	var beside sync.WaitGroup
	beside.Go(func() { l.copier.run(ctx) })
	beside.Go(func() { l.reserve(ctx) })
	err := l.listen(ctx)
	l.end(err)
	_ = l.conn.Close()
	l.news.close()
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

// listen reads what the other relay node says until the stream ends.
func (l *peerLink) listen(ctx context.Context) error {
	for {
		msg, err := l.conn.Receive()
		if err != nil {
			return err
		}
		v := verdict{code: wire.RefusedLimit, text: "too many requests"}
		if l.rates.Request(ctx) {
			v = l.handle(ctx, msg)
		}
		if err := l.answer(ctx, msg, v); err != nil {
			return err
		}
	}
}

// handle does what a message asks for.
func (l *peerLink) handle(ctx context.Context, msg wire.Message) verdict {
	switch msg := msg.(type) {
	case *wire.Presence:
		l.hint(msg.Online)
	case *wire.Heads:
		l.copier.told(msg.Heads)
	case *wire.Fetch:
		return l.n.copies(ctx, msg, l.rates)
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
	return verdict{}
}

// answer is the one place that replies, logs and counts.
func (l *peerLink) answer(ctx context.Context, msg wire.Message, v verdict) error {
	if v.code != 0 {
		what := "peer-" + requestName(msg)
		l.n.count.inc(what + "-refused: " + v.code.String())
		l.n.log.Warn("a relay node's request is refused", "relay", l.name, "what", what, "code", v.code, "text", v.text, "err", v.reason)
		if seqOf(msg) == 0 {
			return nil // not a request: nobody waits for an answer
		}
		v.reply = &wire.Refusal{Seq: seqOf(msg), Code: v.code, Text: v.text}
	}
	if v.reply == nil {
		return nil
	}
	return l.send(ctx, v.reply)
}

// send writes one message, waiting for a relay node that is slow, but not for ever.
func (l *peerLink) send(ctx context.Context, msg wire.Message) error {
	limited, cancel := context.WithTimeout(ctx, l.n.cfg.Limits.Send)
	defer cancel()
	return l.conn.Send(limited, msg)
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
func (l *peerLink) teller(ctx context.Context, at told) func(newsBits, []wire.BatchID) {
	var own []peer.ID
	first := true
	return func(bits newsBits, _ []wire.BatchID) {
		err := l.n.tellRoster(ctx, l.send, &at)
		if now := l.n.table.present(); err == nil && bits&newsPresence != 0 && (first || !slices.Equal(now, own)) {
			first, own = false, now // only its own members: what it heard from others it does not hand on
			err = l.send(ctx, &wire.Presence{Online: now})
		}
		if err == nil && bits&newsHeads != 0 {
			err = l.n.tellHeads(ctx, l.send, &at)
		}
		if err != nil && ctx.Err() == nil {
			l.end(err)
		}
	}
}

// copies answers another relay node's fetch.
func (n *Node) copies(ctx context.Context, msg *wire.Fetch, of *door.Rates) verdict {
	r, v := rangeOf(ctx, msg, of)
	if v.code != 0 {
		return v
	}
	copies, more, err := n.backlog.Copies(ctx, r, fetchBytes)
	if err != nil {
		return verdict{code: wire.RefusedFailed, text: "the backlog failed", reason: err}
	}
	reply, size := &wire.Copied{Seq: msg.Seq, More: more}, 0
	for _, c := range copies {
		size += len(c.Data)
		reply.Copies = append(reply.Copies, wire.Copy{Batch: c.Data, Age: max(0, n.cfg.Now().Sub(c.At))})
	}
	if !of.Fetch(ctx, size) {
		return verdict{code: wire.RefusedLimit, text: "too many bytes fetched"}
	}
	return verdict{reply: reply}
}

// rangeOf returns what a fetch asks for.
func rangeOf(ctx context.Context, msg *wire.Fetch, of *door.Rates) (backlog.Range, verdict) {
	if msg.From > msg.To {
		return backlog.Range{}, verdict{code: wire.RefusedMalformed, text: "the range is empty"}
	}
	if !of.Fetch(ctx, 1) {
		return backlog.Range{}, verdict{code: wire.RefusedLimit, text: "too many bytes fetched"}
	}
	signer, err := wire.PeerIDOf(msg.Signer[:])
	if err != nil {
		return backlog.Range{}, verdict{code: wire.RefusedMalformed, text: "that is no signer"}
	}
	chain := backlog.Chain{Prefix: msg.Prefix, Sender: msg.Sender, Start: msg.Start, Signer: signer}
	return backlog.Range{Chain: chain, From: msg.From, To: msg.To}, verdict{}
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
