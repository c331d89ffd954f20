package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"conclave/cmd/internal/cli"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"

	"github.com/spf13/cobra"
)

// rosterPoll is how often a running relay node looks whether its roster file was replaced. Arbitrary: soon enough for
// somebody who waits, cheap enough to ignore.
const rosterPoll = 500 * time.Millisecond

func newRosterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roster FILE",
		Short: "Hand a newer roster to the relay node of this home",
		Long: "Verifies a roster that the group's authority signed and makes it the one of this home. A relay node that runs on the\n" +
			"home takes it within a second; one that does not, at its next start.",
		Args: cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return handRoster(cli.From(cmd.Context()), args[0]) }
	return cmd
}

// handRoster puts a roster into the home. The file is the whole interface to a running relay node: it watches it. So
// nothing has to be running, nothing can be half told, and what the file does not accept the relay node never sees.
func handRoster(env *cli.Env, path string) error {
	dir, err := env.Dir()
	if err != nil {
		return err
	}
	group, err := dir.Group()
	if err != nil {
		return err
	}
	envelope, err := readEnvelope(path)
	if err != nil {
		return err
	}
	roster, err := pki.OpenRoster(group, envelope, time.Now())
	if err != nil {
		return cli.WithHint(fmt.Errorf("%s: %w", path, err), "the group's keeper writes one with: go run ./cmd/ca roster --out FILE")
	}
	if err := dir.RosterFile(group, nil).Save(roster); err != nil {
		return fmt.Errorf("keeping the roster: %w", err)
	}
	env.Log.Info("roster kept; a relay node that runs on this home takes it within a second", "version", roster.Version, "members", len(roster.Members))
	return nil
}

func readEnvelope(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the roster: %w", err)
	}
	defer f.Close()
	envelope, err := io.ReadAll(io.LimitReader(f, wire.MaxRosterEnvelope+1))
	if err != nil {
		return nil, fmt.Errorf("reading the roster: %w", err)
	}
	if len(envelope) > wire.MaxRosterEnvelope {
		return nil, fmt.Errorf("reading the roster: %s has more than %d bytes", path, wire.MaxRosterEnvelope)
	}
	return envelope, nil
}

// watchRoster hands every new content of the roster file to take until ctx ends.
func watchRoster(ctx context.Context, file *keystore.RosterFile, every time.Duration, take func([]byte) error, log *slog.Logger) {
	t := time.NewTicker(every)
	defer t.Stop()
	last, _ := os.Stat(file.Path()) // nil: the first look counts as a change
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		// The file is replaced as a whole, never written in place.
		info, err := os.Stat(file.Path())
		if err != nil || last != nil && os.SameFile(info, last) && info.ModTime().Equal(last.ModTime()) {
			continue
		}
		last = info
		roster, err := file.Load()
		if err == nil {
			err = take(roster.Envelope)
		}
		if err != nil && !errors.Is(err, pki.ErrRosterOlder) { // older: a newer one came from a member meanwhile
			log.Error("taking the roster file", "err", err)
		}
	}
}
