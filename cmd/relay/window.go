package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"

	"conclave/cmd/internal/cli"
	"conclave/cmd/internal/web"
	"conclave/cmd/internal/web/relay"
	"conclave/relaynode"
)

// noWindow is the value of --ui that serves none.
const noWindow = "off"

// openWindow listens for the window, or returns nil when none is wanted. The window then has the log from here on, and
// the relay node keeps what the window shows. dir is where the window's secret lives: with it a page that is open
// recovers when the relay node is started again on the same address.
func openWindow(env *cli.Env, addr, dir string, cfg *relaynode.Config) (*relay.Window, error) {
	if addr == noWindow {
		return nil, nil
	}
	secret, err := web.LoadSecret(filepath.Join(dir, "window.key"))
	if err != nil {
		return nil, err
	}
	w, err := relay.Listen(web.Config{Addr: addr, Secret: secret, Log: env.Log})
	if errors.Is(err, syscall.EADDRINUSE) {
		err = cli.WithHint(err, "another program uses that port; --ui 127.0.0.1:0 takes a free one")
	}
	if err != nil {
		return nil, err
	}
	env.Log = slog.New(slog.NewMultiHandler(env.Log.Handler(), w.LogHandler(slog.LevelDebug)))
	cfg.Log, cfg.Inspect = env.Log, relay.Inspect
	return w, nil
}

// checkWindow refuses an address that is not for a window, before anything else is done.
func checkWindow(addr string) error {
	if addr == noWindow {
		return nil
	}
	if err := web.CheckAddr(addr); err != nil {
		return cli.WithHint(cli.Usage(fmt.Errorf("--ui %w", err)), "give --ui 127.0.0.1:0 for a window on a free port, or --ui off")
	}
	return nil
}
