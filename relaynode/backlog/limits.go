package backlog

import (
	"time"

	"conclave/overlay/wire"
)

// Implementation constants: the defaults that SPEC.md section 4.4 names. A relay node may choose others.
const (
	DefaultAge     = 30 * 24 * time.Hour
	DefaultBytes   = 256 << 20
	DefaultBatches = 200_000
	DefaultChains  = 1024
)

// Limits bound a backlog. There is no unlimited: a zero in any field keeps nothing.
type Limits struct {
	// Age is how long a batch is kept, counted from when it came.
	Age time.Duration
	// Bytes is how many bytes of batches are kept.
	Bytes int64
	// Batches is how many batches are kept.
	Batches int
	// Chains is how many chains of one signer are kept. A member begins a chain with each process start and each epoch.
	Chains int
	// Batch is the largest batch in bytes; a larger one is refused.
	Batch int
}

// DefaultLimits returns the limits of a relay node that was told nothing else: 30 days, 256 MiB, 200,000 batches, 1,024
// chains for each signer.
func DefaultLimits() Limits {
	return Limits{Age: DefaultAge, Bytes: DefaultBytes, Batches: DefaultBatches, Chains: DefaultChains, Batch: wire.MaxBatch}
}
