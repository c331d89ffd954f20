package relaynode

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"conclave/relaynode/backlog"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/news"
	"conclave/relaynode/pace"

	"github.com/libp2p/go-libp2p/core/peer"
)

// sweeper deletes what is too old, now and then, and the mail of those who left the roster, at once.
type sweeper struct {
	// static
	every   time.Duration
	mail    mailbox.Store
	backlog backlog.Store
	heads   *news.Heads
	admits  func(peer.ID) bool
	now     func() time.Time
	log     *slog.Logger

	former *pace.Peers // members that left the roster and whose mail has to go
}

// forget has the mail of those deleted who left the roster, and everything looked at, also when nobody left.
func (s *sweeper) forget(former ...peer.ID) {
	s.former.Add(former...)
	s.former.Ring()
}

// run sweeps until ctx ends.
func (s *sweeper) run(ctx context.Context) error {
	t := time.NewTicker(s.every)
	defer t.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweeping the stores", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-s.former.Signal:
		}
	}
}

func (s *sweeper) sweep(ctx context.Context) error {
	var errs []error
	for _, p := range s.former.Take() {
		if s.admits(p) {
			continue // came back meanwhile
		}
		gone, err := s.mail.Forget(ctx, p)
		errs = append(errs, err)
		s.log.Info("mail of a former member deleted", "peer", p, "count", gone)
	}
	mails, err := s.mail.Expire(ctx, s.now())
	errs = append(errs, err)
	batches, err := s.backlog.Expire(ctx, s.now())
	errs = append(errs, err)
	if mails+batches > 0 {
		s.log.Info("expired", "mails", mails, "batches", batches)
	}
	if batches > 0 {
		s.heads.Changed()
	}
	return errors.Join(errs...)
}
