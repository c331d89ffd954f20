package topic

import (
	"time"

	"conclave/overlay/wire"
)

// Specification constants (SPEC.md section 7.1).
const (
	prefix = "/conclave/1.0.0/"

	// maxRPC is the largest pubsub RPC in bytes: two of the largest batches.
	maxRPC = 2 * wire.MaxBatch
	// maxControl is the largest part of an RPC that is not messages.
	maxControl = 128 << 10
	// maxSubscriptions is the largest number of subscriptions in one RPC.
	maxSubscriptions = 8
)

// Implementation constants. Those marked arbitrary could be half or double without harm.
const (
	// queue is the length of every pubsub queue. The default of 32 loses two thirds of a burst of 1,000.
	queue = 4096
	// heartbeat bounds how long a newly connected peer stays outside the mesh (library default 1 s).
	heartbeat = 100 * time.Millisecond
	// subscribeAfter is how long a member waits for the first topic peer before it subscribes all the same: somebody
	// who subscribes while a peer is known is in that peer's mesh at once, otherwise at the next heartbeat.
	subscribeAfter = 100 * time.Millisecond
	// maxMoves is how often one topic stream moves to another connection at once, and moveEvery how soon it may once more.
	// Two peers have few connections at once, and a peer that resets the stream on each of them has its reason. Arbitrary.
	maxMoves  = 8
	moveEvery = 10 * time.Second
	// moveTimeout is how long one move may take: opening a stream and one exchange.
	moveTimeout = 5 * time.Second
	// recentSlots is a power of 2. Arbitrary: far more than a busy group sends between two copies of one message.
	recentSlots = 2048
)

// DefaultRate is far above what people type and what a fast sender's batches reach, and below what would let one
// member fill everybody's link through the hub. Arbitrary.
var DefaultRate = Rate{Messages: 20_000, Bytes: 16 << 20, Burst: 4}

// Name returns the name of a group's topic.
func Name(g wire.GroupID) string { return prefix + g.String() }
