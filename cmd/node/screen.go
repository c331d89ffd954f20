package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"

	"conclave/cmd/internal/cli"
	"conclave/cmd/internal/tui"
	"conclave/node"
	"conclave/overlay/wire"
)

// onTerminal reports whether a screen can be shown: both streams are one terminal's, which understands more than lines.
func onTerminal(env *cli.Env) bool {
	in, ok := env.In.(*os.File)
	if !ok || !cli.IsTerminal(in) {
		return false
	}
	out, ok := env.Out.(*os.File)
	return ok && cli.IsTerminal(out) && os.Getenv("TERM") != "dumb"
}

// wantsScreen reports whether the flags, or the lack of one, ask for the terminal screen.
func wantsScreen(env *cli.Env, f flags) (bool, error) {
	switch {
	case f.ui == "tui" && !onTerminal(env):
		return false, cli.WithHint(cli.Usagef("--ui tui needs a terminal"), "use --ui plain or --ui json")
	case f.ui == "tui":
		return true, nil
	}
	return f.ui == "auto" && onTerminal(env), nil
}

// serveScreen runs the member with the terminal screen. What is logged goes to the screen from the beginning, so that
// its first lines are not hidden behind it.
func serveScreen(ctx context.Context, env *cli.Env, f flags) error {
	logs := tui.NewLogs()
	defer env.DivertLog(logs)()
	cfg, err := configure(env, f)
	if err != nil {
		return err
	}
	n, err := node.New(cfg)
	if err != nil {
		return explain(err, cfg.StatePath)
	}
	s := &session{node: n, env: env}
	events := n.Subscribe()
	screen := tui.Config{
		Node: n, Events: events, Self: selfIn(cfg), Group: cfg.Group.Name, ShowKey: f.showKey, Logs: logs, Leave: s.flush,
		In: env.In, Out: env.Out,
	}
	return errors.Join(s.runScreen(ctx, events, screen), n.Close())
}

// runScreen runs the node and the screen until one of them ends.
func (s *session) runScreen(ctx context.Context, events *node.Subscription, screen tui.Config) error {
	defer events.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan error, 1)
	go func() {
		ran <- s.node.Run(ctx)
		cancel() // without the node there is nothing to show
	}()
	err := tui.Run(ctx, screen)
	cancel()
	return errors.Join(err, cli.ExplainListen(<-ran, ""))
}

// selfIn returns the role of the member whose configuration this is.
func selfIn(cfg node.Config) wire.Role {
	id, err := wire.PeerIDOf(cfg.Identity.Public().(ed25519.PublicKey))
	if err != nil {
		return ""
	}
	m, _, _ := cfg.Roster.MemberByPeer(id)
	if m.Certificate == nil {
		return ""
	}
	return m.Role
}
