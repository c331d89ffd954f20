package uplink

import (
	"slices"
	"strings"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Table is the relay nodes as the owner's goroutine sees them. All of them are kept up, each with a session, a slot and the
// topic: what one says counts, whichever it is. Deposits and stores go to one of them, the main one, and fetches to it first.
// It belongs to the owner's goroutine.
type Table struct {
	addresses func(peer.ID) []ma.Multiaddr
	all       map[peer.ID]*Relay
	main      *Relay // nil without a relay node
	seen      map[peer.ID]wire.DatabaseID
	last      uint64 // number of the last deposit or fetch
}

// Relay is one relay node.
type Relay struct {
	// ID is its peer ID.
	ID peer.ID

	conn   *session.Conn // nil while the handshake is not done
	ready  bool
	state  State
	reason string
	acks   []wire.MailID // mail of its mailbox that it may delete
}

// NewTable returns an empty table. addresses returns where a relay node may be, each ending in /p2p/<peer ID>.
func NewTable(addresses func(peer.ID) []ma.Multiaddr) *Table {
	return &Table{addresses: addresses, all: make(map[peer.ID]*Relay), seen: make(map[peer.ID]wire.DatabaseID)}
}

// Of returns a relay node, which is entered if it is new.
func (t *Table) Of(id peer.ID) *Relay {
	r := t.all[id]
	if r == nil {
		r = &Relay{ID: id}
		t.all[id] = r
	}
	return r
}

// Apply enters a change, and reports whether it still counts: a connection may have gone down before it was ready.
func (t *Table) Apply(c Change) bool {
	r := t.Of(c.Relay)
	switch c.State {
	case Authenticated:
		r.conn = c.Conn
	case Ready:
		if r.conn != c.Conn {
			return false
		}
		r.ready = true
	case Down:
		r.conn, r.ready, r.acks = nil, false, nil // mail that it delivered and that was not acknowledged comes again
		if t.main == r {
			t.main = nil
		}
	}
	r.state, r.reason = c.State, c.Reason
	return true
}

// Main returns the relay node that requests go to, or nil.
func (t *Table) Main() *Relay { return t.main }

// Ready reports whether a relay node takes requests.
func (t *Table) Ready() bool { return t.main != nil }

// Choose makes a relay node that is ready the main one, unless there is one. It returns the relay node, or nil if nothing
// changed, and whether its database is another than when it was last chosen.
func (t *Table) Choose() (chosen *Relay, renewed bool) {
	if t.main != nil {
		return nil, false
	}
	for _, r := range t.All() {
		if r.ready {
			t.main = r
			db := r.conn.Database()
			before, known := t.seen[r.ID]
			t.seen[r.ID] = db
			return r, known && before != db
		}
	}
	return nil, false
}

// Number returns the number of the next deposit or fetch.
func (t *Table) Number() uint64 {
	t.last++
	return t.last
}

// Offer queues a request for the main relay node, if there is one and it keeps up.
func (t *Table) Offer(m wire.Message) bool { return t.main != nil && t.main.offer(m) }

// Unheard is how much was written to the main relay node since it said anything, in bytes.
func (t *Table) Unheard() int {
	if t.main == nil {
		return 0
	}
	return t.main.conn.Unheard()
}

// All returns every relay node that was connected to or tried, in the order of their peer IDs.
func (t *Table) All() []*Relay {
	list := make([]*Relay, 0, len(t.all))
	for _, r := range t.all {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *Relay) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// Usable returns the relay nodes that take requests, the main one first and the others in the order of their peer IDs.
func (t *Table) Usable() []*Relay {
	if t.main == nil {
		return nil
	}
	list := []*Relay{t.main}
	for _, r := range t.All() {
		if r.ready && r != t.main {
			list = append(list, r)
		}
	}
	return list
}

// Acknowledge tells each relay node which of its mail is held durably here.
func (t *Table) Acknowledge() {
	for _, r := range t.all {
		for len(r.acks) > 0 && r.conn != nil {
			k := min(len(r.acks), wire.MaxListItems)
			if !r.offer(&wire.DeliveryAck{IDs: r.acks[:k:k]}) {
				break
			}
			r.acks = r.acks[k:]
		}
	}
}

// Carriers returns the relay nodes that carry circuits, with their addresses.
func (t *Table) Carriers() []peer.AddrInfo {
	var list []peer.AddrInfo
	for _, r := range t.Usable() {
		addrs := slices.DeleteFunc(dialAddrs(t.addresses(r.ID)), overlay.IsCircuit)
		if len(addrs) > 0 {
			list = append(list, peer.AddrInfo{ID: r.ID, Addrs: addrs})
		}
	}
	return list
}

// Addresses returns where a relay node may be, each ending in /p2p/<peer ID>.
func (t *Table) Addresses(r *Relay) []ma.Multiaddr { return t.addresses(r.ID) }

// State returns how far the connection is, and why.
func (r *Relay) State() (State, string) { return r.state, r.reason }

// Conn returns the session, or nil while there is none.
func (r *Relay) Conn() *session.Conn { return r.conn }

// Ask queues a fetch and reports whether there was room.
func (r *Relay) Ask(m *wire.Fetch) bool { return r.offer(m) }

// Acknowledge notes that a mail is held durably here: the relay node is told with the others.
func (r *Relay) Acknowledge(id wire.MailID) { r.acks = append(r.acks, id) }

func (r *Relay) offer(m wire.Message) bool { return r.conn != nil && r.conn.Offer(m) == nil }
