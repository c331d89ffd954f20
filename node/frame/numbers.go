package frame

import "conclave/overlay/wire"

// Specification constants (SPEC.md section 7.3 and 7.4). Both ends must agree on them.
const (
	// MaxSkipped is how many keys of unseen frames a start keeps; a frame that is further behind is too old.
	MaxSkipped = 2000
	// MaxSteps is how far ahead of the last seen counter of its start a frame may be.
	MaxSteps = 1 << 20
	// MaxStartSteps is how far ahead of the last seen start of its sender a frame may be.
	MaxStartSteps = 1 << 16
	// MaxChains is how many starts of one sender stay open; frames of earlier ones are too old.
	MaxChains = 64
	// MaxCounter is the last counter of a start. The sender asks for a new epoch long before.
	MaxCounter = 1<<31 - 1
	// MaxText is the longest text in bytes of UTF-8.
	MaxText = wire.MaxBody
	// MaxAcks is the largest number of messages in one acknowledgement.
	MaxAcks = 4096
	// MaxMembers is the largest number of members of a session; a sender's index has 16 bits.
	MaxMembers = 1 << 16
)

// Implementation constants. Another client may choose others.
const (
	// maxSenderSkipped bounds the kept keys of all starts of one sender together. Arbitrary: two full starts.
	maxSenderSkipped = 2 * MaxSkipped
	// maxWasted is how many chain steps a sender may cause with frames that turn out to be forged, before its frames
	// that are more than MaxSkipped ahead are refused unseen. Only a member can cause any: the batch was verified.
	// Arbitrary: two of the longest walks, well under a second of work.
	maxWasted = 2 * MaxSteps
	// ivBatch is how many IVs are drawn from the random source at once.
	ivBatch = 32
)

// The labels of the key schedule: one for each use of a key. Each fits, with HKDF's counter byte, into one SHA-256
// block, which the cost of a frame depends on.
var (
	labelRoot     = []byte("conclave frame v1 root")      // PRK   -> root 0 of a sender; the sender's index (2 B) follows
	labelNextRoot = []byte("conclave frame v1 next root") // root  -> root of the next start
	labelChain    = []byte("conclave frame v1 chain")     // root  -> chain of this start
	labelStep     = []byte("conclave frame v1 step")      // chain -> chain of the next counter
	labelAES      = []byte("conclave frame v1 aes")       // chain -> AES key of this counter
	labelMAC      = []byte("conclave frame v1 mac")       // chain -> MAC key of this counter
)
