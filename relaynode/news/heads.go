package news

import (
	"context"
	"sync"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/pace"
)

// Heads answers what changed in the backlog since a revision. Members ask for the same change at the same time, so
// the last answer is kept: a hundred members cost one query.
type Heads struct {
	pace.Signal // rung by Changed

	store backlog.Store

	mu       sync.Mutex
	from, to int64       // guarded by mu: the revisions that last spans; from < 0: none
	last     []wire.Head // guarded by mu; never changed once it is here
}

// NewHeads returns what tells of a backlog.
func NewHeads(s backlog.Store) *Heads { return &Heads{Signal: pace.NewBell(), store: s, from: -1} }

// Changed makes the kept answer old, and rings.
func (r *Heads) Changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = -1
	r.Ring()
}

// since returns the heads that changed after a revision, all of them for 0, and the revision now.
func (r *Heads) since(ctx context.Context, revision int64) ([]wire.Head, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from == revision {
		return r.last, r.to, nil
	}
	heads, to, err := r.store.Heads(ctx, revision)
	if err != nil {
		return nil, 0, err
	}
	last := make([]wire.Head, len(heads))
	for i, h := range heads {
		signer, err := wire.PublicKeyOf(h.Signer)
		if err != nil {
			return nil, 0, err // cannot be: only batches with an Ed25519 key get this far
		}
		last[i] = wire.Head{Prefix: h.Prefix, Sender: h.Sender, Start: h.Start, Low: h.Low, High: h.High, Signer: wire.Signer(signer)}
	}
	r.from, r.to, r.last = revision, to, last
	return last, to, nil
}
