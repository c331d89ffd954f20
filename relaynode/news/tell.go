package news

import (
	"context"
	"fmt"

	"conclave/overlay/wire"
	"conclave/pki"
)

// Source is where the news come from that members and relay nodes are told alike.
type Source struct {
	Roster func() *pki.Roster // the newest
	Heads  *Heads
}

// State is up to where a peer was told; owned by the goroutine that tells.
type State struct {
	Roster   uint64 // version
	revision int64  // of the backlog's heads
}

// Sending is a session's way to write one message.
type Sending func(context.Context, wire.Message) error

// TellRoster writes the roster if the other side has an older one.
func (s Source) TellRoster(ctx context.Context, send Sending, at *State) error {
	current := s.Roster()
	if current.Version <= at.Roster {
		return nil
	}
	at.Roster = current.Version
	return send(ctx, &wire.RosterUpdate{Envelope: current.Envelope})
}

// TellHeads writes what changed in the backlog since the other side was told last; all of it the first time.
func (s Source) TellHeads(ctx context.Context, send Sending, at *State) error {
	heads, revision, err := s.Heads.since(ctx, at.revision)
	if err != nil {
		return fmt.Errorf("reading the backlog's heads: %w", err)
	}
	full := at.revision == 0
	at.revision = revision
	for full || len(heads) > 0 {
		k := min(len(heads), wire.MaxListItems)
		if err := send(ctx, &wire.Heads{Heads: heads[:k:k], Full: full}); err != nil {
			return err
		}
		heads, full = heads[k:], false
	}
	return nil
}
