package relaynode

import (
	"context"
	"sync"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/pace"
)

// headReader answers what changed in the backlog since a revision. Members ask for the same change at the same time, so
// the last answer is kept: a hundred members cost one query.
type headReader struct {
	store backlog.Store

	mu       sync.Mutex
	from, to int64       // guarded by mu: the revisions that last spans; from < 0: none
	last     []wire.Head // guarded by mu; never changed once it is here
}

func newHeadReader(s backlog.Store) *headReader { return &headReader{store: s, from: -1} }

// changed makes the kept answer old.
func (r *headReader) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = -1
}

// since returns the heads that changed after a revision, all of them for 0, and the revision now.
func (r *headReader) since(ctx context.Context, revision int64) ([]wire.Head, int64, error) {
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

// headsPatience is how many times Limits.Heads a report waits at most while the backlog goes on changing. Arbitrary: in the midst
// of a stream the next messages tell of most gaps, and each report is a message to everybody, which is in the way of those that
// people wait for.
const headsPatience = 4

// pushHeads tells the members and the other relay nodes that the backlog changed, in the next pause. It waits before it tells,
// not after: what has just been stored is on its way over the topic, and a member that is told too early fetches in vain.
func (n *Node) pushHeads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.headsBell:
		}
		if !pace.Calm(ctx, n.headsBell, n.cfg.Limits.Heads, headsPatience*n.cfg.Limits.Heads) {
			return nil
		}
		n.tellEverybody(newsHeads)
	}
}

// pushPresence tells the members who is online, and the other relay nodes who is online here, the first change at once and
// further ones together.
func (n *Node) pushPresence(ctx context.Context) error {
	pace.Every(ctx, n.presence, n.cfg.Limits.Presence, func() { n.tellEverybody(newsPresence) })
	return nil
}
