package relaynode

import (
	"maps"
	"sync"
)

// counters is a set of named counts. The names are those of the constants below, so that every drop and every refusal
// can be told from every other.
type counters struct {
	mu sync.Mutex
	n  map[string]uint64 // guarded by mu
}

// Names of what is dropped, refused or closed. They appear in Status and in logs.
const (
	dropAppendQueue   = "append-queue-full"     // a topic batch that the appender could not take; its sender stores it again
	dropAppendFailed  = "append-failed"         // a topic batch that the backlog could not write
	dropTopicMalform  = "topic-malformed"       // a topic batch without the shape of one
	dropTopicForged   = "topic-forged"          // a topic batch whose signature is wrong
	dropTopicStranger = "topic-stranger"        // a topic batch signed by somebody who is not in the roster
	closeSlow         = "session-too-slow"      // a session closed because its peer did not read
	closeReplaced     = "session-replaced"      // a session closed because its peer opened a newer one
	handshakeFailed   = "handshake-refused"     // a session that ended before it began
	rosterConflict    = "roster-conflict"       // a second roster with one version
	rosterRefused     = "roster-refused"        // a roster that is not the group's, or older
	deliveryStalled   = "delivery-window-stall" // mail that was handed on and not acknowledged in time
	dropStoredNotice  = "stored-notice-queue"   // acknowledgements that a member was too slow to take
)

func newCounters() *counters { return &counters{n: make(map[string]uint64)} }

// add counts n more under name.
func (c *counters) add(name string, n int) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name] += uint64(n)
}

// inc counts one more under name.
func (c *counters) inc(name string) { c.add(name, 1) }

// get returns the count under name.
func (c *counters) get(name string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

// snapshot returns a copy of all counts.
func (c *counters) snapshot() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}
