package node

import (
	"slices"
	"strings"

	"conclave/node/keyagreement"
	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// links is the engine's view of the relay nodes that this member is connected to. All of them are kept up, each with a
// session, a slot and the topic: what one says counts, whichever it is. Deposits and stores go to one of them, the main one,
// and fetches to it first.
type links struct {
	e    *engine
	all  map[peer.ID]*linkView
	main *linkView // nil without a relay node
	seen map[peer.ID]wire.DatabaseID
	last uint64 // number of the last deposit or fetch
}

// linkView is one link as the engine sees it.
type linkView struct {
	link  *link
	conn  *session.Conn // nil while the handshake is not done
	ready bool
	state LinkState
	why   string
	acks  []wire.MailID // mail of its mailbox that it may delete
}

func newLinks(e *engine) links {
	return links{e: e, all: make(map[peer.ID]*linkView), seen: make(map[peer.ID]wire.DatabaseID)}
}

// ready reports whether a relay node takes requests.
func (l *links) ready() bool { return l.main != nil }

// number returns the number of the next deposit or fetch.
func (l *links) number() uint64 {
	l.last++
	return l.last
}

// offer queues a request for the main relay node, if there is one and it keeps up.
func (l *links) offer(m wire.Message) bool {
	return l.main != nil && l.main.conn.Offer(m) == nil
}

// unheard is how much was written to the main relay node since it said anything.
func (l *links) unheard() int {
	if l.main == nil {
		return 0
	}
	return l.main.conn.Unheard()
}

// usable returns the relay nodes that take requests, the main one first and the others in an order of their own.
func (l *links) usable() []*linkView {
	if l.main == nil {
		return nil
	}
	list := []*linkView{l.main}
	for _, v := range l.all {
		if v.ready && v != l.main {
			list = append(list, v)
		}
	}
	slices.SortFunc(list[1:], func(a, b *linkView) int { return strings.Compare(string(a.link.relay), string(b.link.relay)) })
	return list
}

// acknowledge tells each relay node which of its mail is held durably here.
func (l *links) acknowledge() {
	for _, v := range l.all {
		for len(v.acks) > 0 && v.conn != nil {
			k := min(len(v.acks), wire.MaxListItems)
			if v.conn.Offer(&wire.DeliveryAck{IDs: v.acks[:k:k]}) != nil {
				break
			}
			v.acks = v.acks[k:]
		}
	}
}

// relays returns the relay nodes that carry circuits, with their addresses.
func (l *links) relays() []peer.AddrInfo {
	var list []peer.AddrInfo
	for _, v := range l.usable() {
		addrs := slices.DeleteFunc(v.link.dialAddrs(), overlay.IsCircuit)
		if len(addrs) > 0 {
			list = append(list, peer.AddrInfo{ID: v.link.relay, Addrs: addrs})
		}
	}
	return list
}

// view returns what is known of a link.
func (l *links) view(of *link) *linkView {
	v := l.all[of.relay]
	if v == nil {
		v = &linkView{link: of}
		l.all[of.relay] = v
	}
	return v
}

// state tells how far a link is.
func (l *links) state(of *link, s LinkState, why string) {
	v := l.view(of)
	v.state, v.why = s, why
	l.e.cfg.Log.Debug("link", "relay", of.relay, "state", s, "reason", why)
	l.e.publish(Link{At: l.e.at(), Relay: of.relay, State: s, Reason: why})
}

// authenticated is told that the handshake is done.
func (l *links) authenticated(of *link, conn *session.Conn) {
	l.view(of).conn = conn
	l.state(of, Authenticated, "")
}

// up is told that a relay node carries everything: session and topic.
func (l *links) up(of *link, conn *session.Conn) {
	v := l.view(of)
	if v.conn != conn {
		return // it went down meanwhile
	}
	v.ready = true
	l.state(of, Ready, "")
	l.e.paths.renew()
	if l.main == nil {
		l.choose(v)
	}
}

// choose sends requests to a relay node from now on.
func (l *links) choose(v *linkView) {
	l.main = v
	db := v.conn.Database()
	before, known := l.seen[v.link.relay]
	l.seen[v.link.relay] = db
	l.e.outbox.up(known && before != db)
	l.e.keep.up(known && before != db)
	l.e.step(keyagreement.RelayUp{Database: db})
	l.e.members.relayUp()
	l.e.inbound.fetch.again()
}

// down is told that a link is gone.
func (l *links) down(of *link, why string) {
	v := l.view(of)
	v.conn, v.ready, v.acks = nil, false, nil // mail that it delivered and that was not acknowledged comes again
	l.state(of, Down, why)
	l.e.inbound.fetch.down(v)
	l.e.members.gone(of.relay)
	if l.main != v {
		return
	}
	l.main = nil
	l.e.post.down()
	l.e.step(keyagreement.RelayDown{})
	for _, other := range l.all {
		if other.ready {
			l.choose(other)
			return
		}
	}
	l.e.keep.down()
	l.e.members.relayDown()
}

// list returns the links for a Who.
func (l *links) list() []Link {
	var out []Link
	for id, v := range l.all {
		out = append(out, Link{At: l.e.at(), Relay: id, State: v.state, Reason: v.why})
	}
	slices.SortFunc(out, func(a, b Link) int { return strings.Compare(string(a.Relay), string(b.Relay)) })
	return out
}

// message takes in what a relay node says. Batches in it are verified.
func (l *links) message(of *link, m incoming) {
	e, v := l.e, l.view(of)
	switch msg := m.Message.(type) {
	case *wire.Presence:
		e.members.hint(of.relay, msg.Online)
	case *wire.Delivery:
		e.post.delivered(v, m.mails)
	case *wire.DepositResult:
		if v == l.main {
			e.post.deposited(msg)
		}
	case *wire.Stored:
		e.outbox.stored(msg.IDs)
		e.outbox.refused(msg.Refused)
	case *wire.Heads:
		e.inbound.headsAre(of.relay, msg.Heads, msg.Full)
	case *wire.Fetched:
		e.inbound.fetch.fetched(v, msg.Seq, m.batches, msg.More)
	case *wire.Refusal:
		l.refusal(v, msg)
	}
}

func (l *links) refusal(v *linkView, m *wire.Refusal) {
	l.e.cfg.Log.Warn("the relay node refuses a request", "relay", v.link.relay, "code", m.Code, "text", m.Text)
	if m.Code == wire.RefusedReplaced {
		l.e.publish(Problem{
			At: l.e.at(), Text: "another process uses this member's identity", Hint: "stop one of the two",
		})
	}
	if m.Seq == 0 {
		return
	}
	if v == l.main {
		l.e.post.refused(m.Seq)
	}
	l.e.inbound.fetch.refused(v, m.Seq)
}
