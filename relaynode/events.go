package relaynode

import (
	"sync"
	"time"

	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Event is something that happened on the relay node and that a screen may show. The types below are all there are.
type Event interface{ event() }

// MemberOnline says that a member completed the handshake; its session is now the current one of that member.
type MemberOnline struct {
	Time time.Time
	Role wire.Role
	Peer peer.ID
}

// MemberOffline says that a member's current session ended.
type MemberOffline struct {
	Time   time.Time
	Role   wire.Role
	Peer   peer.ID
	Reason string // plain English, for people
}

// ConnectionClosed says that the relay node closed the connections of a peer, and why.
type ConnectionClosed struct {
	Time   time.Time
	Peer   peer.ID
	Reason string // one of the counter names: connection-…
}

// Refused says that something a peer asked for was refused.
type Refused struct {
	Time   time.Time
	Peer   peer.ID
	Role   wire.Role // empty for a stranger
	What   string    // the message or service: "deposit", "reserve", …
	Reason string    // the name of the refusal
}

// RosterTaken says that the relay node now serves a newer roster.
type RosterTaken struct {
	Time            time.Time
	Version         uint64
	Members         int
	Added, Removed  []wire.Role
	From            string // where it came from: "file", "hello", a role, …
	PreviousVersion uint64
}

// RosterConflict says that a second, different roster with the version of the present one was offered, which means that
// the authority signed two. The second was refused.
type RosterConflict struct {
	Time    time.Time
	Version uint64
	From    string
}

// MailStored says that mail for a member is durable. Duplicates are not reported.
type MailStored struct {
	Time     time.Time
	From, To wire.Role
	Kind     wire.Kind
	Bytes    int
}

// MailDelivered says that mail was handed on to its recipient (and not yet that it acknowledged).
type MailDelivered struct {
	Time  time.Time
	To    wire.Role
	Count int
}

// BatchesStored says that batches of one member are durable in the backlog.
type BatchesStored struct {
	Time  time.Time
	From  wire.Role
	Count int
	Bytes int
}

// RelayLinked says that there is a session with another relay node of the group.
type RelayLinked struct {
	Time time.Time
	Name wire.Role
	Peer peer.ID
}

// RelayGone says that the session with another relay node ended.
type RelayGone struct {
	Time   time.Time
	Name   wire.Role
	Peer   peer.ID
	Reason string // plain English, for people
}

// MailForwarded says that mail went to the relay node where its recipient is. It stays here until that one acknowledges.
type MailForwarded struct {
	Time  time.Time
	To    wire.Role
	Relay wire.Role
	Count int
}

// BatchesCopied says that batches that were missing here came from another relay node and are durable.
type BatchesCopied struct {
	Time  time.Time
	From  wire.Role
	Count int
}

func (RelayLinked) event()      {}
func (RelayGone) event()        {}
func (MailForwarded) event()    {}
func (BatchesCopied) event()    {}
func (MemberOnline) event()     {}
func (MemberOffline) event()    {}
func (ConnectionClosed) event() {}
func (Refused) event()          {}
func (RosterTaken) event()      {}
func (RosterConflict) event()   {}
func (MailStored) event()       {}
func (MailDelivered) event()    {}
func (BatchesStored) event()    {}

// eventQueue is how many events wait for one subscriber before further ones are dropped and counted.
const eventQueue = 256

// bus hands events to its subscribers. A subscriber that does not keep up loses events, never anybody's time.
type bus struct {
	count *counters

	mu     sync.Mutex
	subs   map[chan Event]struct{} // guarded by mu
	closed bool                    // guarded by mu
}

func newBus(count *counters) *bus { return &bus{count: count, subs: make(map[chan Event]struct{})} }

// subscribe returns a channel of events and the function that ends the subscription. The channel is closed at the end.
func (b *bus) subscribe() (<-chan Event, func()) {
	ch := make(chan Event, eventQueue)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(ch)
		return ch, func() {}
	}
	b.subs[ch] = struct{}{}
	return ch, func() { b.unsubscribe(ch) }
}

func (b *bus) unsubscribe(ch chan Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.subs[ch]; ok {
		delete(b.subs, ch)
		close(ch)
	}
}

// publish hands e to every subscriber that has room for it.
func (b *bus) publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch := range b.subs {
		select {
		case ch <- e:
		default:
			b.count.inc(dropEvent)
		}
	}
}

// close ends every subscription.
func (b *bus) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for ch := range b.subs {
		delete(b.subs, ch)
		close(ch)
	}
}
