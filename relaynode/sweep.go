package relaynode

import (
	"context"
	"errors"
	"time"
)

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
		case <-n.forgotten.Bell:
		}
	}
}

func (n *Node) sweepOnce(ctx context.Context) error {
	var errs []error
	for _, p := range n.forgotten.Take() {
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
