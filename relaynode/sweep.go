package relaynode

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// peerSet is a set of peers that one goroutine fills and another empties.
type peerSet struct {
	mu  sync.Mutex
	set map[peer.ID]struct{} // guarded by mu
}

func newPeerSet() *peerSet { return &peerSet{set: make(map[peer.ID]struct{})} }

func (s *peerSet) add(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[p] = struct{}{}
}

func (s *peerSet) take() []peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []peer.ID
	for p := range s.set {
		all = append(all, p)
	}
	clear(s.set)
	return all
}

// sweepStores deletes what is too old, now and then, and the mail of those who left the roster, at once.
func (n *Node) sweepStores(ctx context.Context) error {
	t := time.NewTicker(n.cfg.Limits.Sweep)
	defer t.Stop()
	for {
		if err := n.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("sweeping the stores", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-n.sweep:
		}
	}
}

func (n *Node) sweepOnce(ctx context.Context) error {
	var errs []error
	for _, p := range n.forgotten.take() {
		if n.admits(p) {
			continue // came back meanwhile
		}
		gone, err := n.mail.Forget(ctx, p)
		errs = append(errs, err)
		n.log.Info("mail of a former member deleted", "peer", p, "count", gone)
	}
	mails, err := n.mail.Expire(ctx, n.cfg.Now())
	errs = append(errs, err)
	batches, err := n.backlog.Expire(ctx, n.cfg.Now())
	errs = append(errs, err)
	if mails+batches > 0 {
		n.log.Info("expired", "mails", mails, "batches", batches)
	}
	if batches > 0 {
		n.source.Heads.Changed()
	}
	return errors.Join(errs...)
}
