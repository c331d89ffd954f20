package overlay

import (
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// Specification constants (SPEC.md sections 3 and 8).
const (
	// SessionProtocol is the stream between a member and a relay node: handshake, mailbox, backlog.
	SessionProtocol protocol.ID = "/conclave/session/1.0.0"
	// PeerProtocol is the stream between two relay nodes of a group: handshake, presence, forwarded mail, backlog.
	PeerProtocol protocol.ID = "/conclave/peer/1.0.0"
	// ShareProtocol is the stream on which a member hands share envelopes to another.
	ShareProtocol protocol.ID = "/conclave/share/1.0.0"
	// BacklogProtocol is the stream on which a member asks another for batches that it missed.
	BacklogProtocol protocol.ID = "/conclave/backlog/1.0.0"
)

// Implementation constants. Those marked arbitrary could be half or double without harm.
const (
	// quicDelay is what a QUIC dial waits behind TCP: long enough for TCP to win on a fast network, where it is the
	// cheaper transport, short enough to cost nothing on a slow one. Arbitrary.
	quicDelay = 15 * time.Millisecond
	// webSocketStart is what a WebSocket waits behind TCP: it carries the same, at a higher price. Arbitrary.
	webSocketStart = 30 * time.Millisecond
	// restDelay is the start that the address which worked last has before the others. Arbitrary.
	restDelay = 150 * time.Millisecond
	// webSocketDelay is how long TCP and QUIC have before a WebSocket on the same port as TCP is tried. Arbitrary.
	webSocketDelay = 1500 * time.Millisecond
	// circuitDelay is what a dial over a circuit waits when there are direct addresses too. Arbitrary.
	circuitDelay = 250 * time.Millisecond
	// punchTimeout bounds one attempt of a hole punch; there are three. Arbitrary.
	punchTimeout = 4 * time.Second
	// watchEvery and watchPatience bound how long a direct connection that carries nothing any more counts as one: 6 s,
	// so that what is shown is true within 10.
	watchEvery    = 2 * time.Second
	watchPatience = 4 * time.Second
	// maxIdentify is the largest identify message that is read, libp2p's own bound.
	maxIdentify = 8 << 10
	// streamDeadline bounds OpenStream and a handler's prologue when nothing else does.
	streamDeadline = 10 * time.Second
	// dialTimeout bounds one dial of one address.
	dialTimeout = 10 * time.Second
	// rateGrace is how long an address that sent nothing keeps its bucket.
	rateGrace = time.Minute
	// userAgent is what identify tells a stranger: not a version.
	userAgent = "conclave"
)
