package relaynode

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/news"
	"conclave/relaynode/peers"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Why a session ended, when the relay node ended it.
var (
	errReplaced = errors.New("a newer session took its place")
	errTooSlow  = errors.New("it did not read what was sent to it")
	errRevoked  = errors.New("it is not in the roster any more")
)

// member is the relay node's side of one member's session. The stream's handler reads requests and answers them one after
// the other; what happened elsewhere is told by a goroutine that runs while there is something to tell (news).
type member struct {
	// static after construction
	n     *Node
	conn  *session.Conn
	under network.Conn // the connection that it runs over
	peer  peer.ID
	role  wire.Role
	since time.Time
	loop  *serve.Loop
	end   context.CancelCauseFunc // ends the session
	news  *news.News
	mail  *mailWindow
	quiet atomic.Bool // nothing came from it for a while

	handed peers.ForeignMail // mail of other relay nodes that was handed on in this session
}

// serveSession is the handler of one session stream, from the handshake to the end.
func (n *Node) serveSession(ctx context.Context, s network.Stream) error {
	known := n.roster.Load().Version
	conn, err := accept(ctx, s, n.handshake)
	if err != nil {
		n.door.Refused(s.Conn().RemotePeer(), "handshake", handshakeFailed)
		return err
	}
	p := proven(conn)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	m := &member{n: n, conn: conn, under: s.Conn(), peer: p, role: conn.Remote().Role, since: n.cfg.Now(), end: end}
	m.loop = &serve.Loop{
		Conn: conn, Rates: n.door.MemberRates(p), Handle: m.handle, Refused: m.refusedRequest, Patience: n.cfg.Limits.Send, TooSlow: m.tooSlow,
	}
	m.news = news.New(m.teller(ctx, memberState{State: news.State{Roster: known}}))
	m.mail = newMailWindow(n.cfg.Limits.MailPage, n.cfg.Limits.MailWindow, func(lost int) {
		n.count.add(deliveryStalled, lost)
		m.news.Set(news.Mail)
	})
	// Closing the connection is what wakes a reader and a writer that wait for the peer.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	m.serve(ctx)
	return nil // the stream has ended: a reset would take away what the member has not read yet
}

// proven returns who is at the other end: whom the secure channel proved, and not whom the certificate names that was shown. A
// field of a message never says who somebody is.
func proven(conn interface {
	Peer() peer.ID
	Remote() *pki.Certificate
},
) peer.ID {
	return conn.Peer() // defence: proven-identity
}

// accept runs the handshake on a goroutine of its own and waits for it: verifying certificates takes a deep stack, which
// the handler's goroutine would keep for as long as the session lives.
func accept(ctx context.Context, s network.Stream, cfg session.Config) (conn *session.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err = session.Accept(ctx, s, cfg)
	}()
	<-done
	return conn, err
}

// serve runs the session until it and its stream have ended.
func (m *member) serve(ctx context.Context) {
	n := m.n
	if before := n.table.enter(m); before != nil {
		n.count.inc(closeReplaced)
		_ = before.conn.Offer(&wire.Refusal{Code: wire.RefusedReplaced, Text: errReplaced.Error()}) // a courtesy
		before.end(errReplaced)
	}
	if old := n.door.Older(m.under); len(old) > 0 {
		var retiring sync.WaitGroup
		retiring.Go(func() { n.door.Retire(ctx, old) })
		defer retiring.Wait()
	}
	// The roster may have changed between the handshake and this line; from here on rosterChanged finds the session.
	if !n.admits(m.peer) {
		m.end(errRevoked)
	}
	n.online(m)
	m.news.Set(news.Presence | news.Roster | news.Backlog | news.Mail)
	err := m.loop.Listen(ctx)
	m.end(err)
	_ = m.conn.Close()
	m.mail.close()
	m.news.Close()
	n.offline(m, context.Cause(ctx))
}

// Heard implements door.Session.
func (m *member) Heard() time.Time { return m.conn.Heard() }

// Offer implements peers.Member.
func (m *member) Offer(msg wire.Message) error { return m.conn.Offer(msg) }

// Handed implements peers.Member.
func (m *member) Handed() *peers.ForeignMail { return &m.handed }

// SetQuiet implements door.Session.
func (m *member) SetQuiet(quiet bool) (changed bool) {
	if m.quiet.Swap(quiet) == quiet {
		return false
	}
	m.n.log.Info("member heard", "role", m.role, "silent", quiet)
	m.n.peers.Wake(m.peer) // it may have gone to another relay node
	return true
}

// online tells everybody who wants to know that a session began.
func (n *Node) online(m *member) {
	n.log.Info("member online", "role", m.role, "peer", m.peer)
	n.presence.Ring()
}

// offline tells everybody who wants to know that a session ended, unless a newer one of that member is there.
func (n *Node) offline(m *member, cause error) {
	if !n.table.leave(m) {
		n.log.Debug("an older session ended", "role", m.role, "peer", m.peer, "reason", cause)
		return
	}
	reason := "the connection ended"
	if cause != nil {
		reason = cause.Error()
	}
	n.log.Info("member offline", "role", m.role, "peer", m.peer, "reason", reason)
	n.presence.Ring()
	n.peers.Wake(m.peer) // it may be at another relay node
	n.door.WatchPeer(m.peer)
}
