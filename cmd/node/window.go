package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"conclave/cmd/internal/cli"
	"conclave/cmd/internal/web"
	"conclave/cmd/internal/web/member"
	"conclave/node"
)

// logLines is how many lines of the log the window's drawer has. Arbitrary.
const logLines = 500

// withWindow reads --ui: web alone, or another ui with ",web" behind it, asks for a window.
func (f flags) withWindow() flags {
	base, beside := strings.CutSuffix(f.ui, ",web")
	if (beside || f.ui == "web") && f.window == "" {
		f.window = web.DefaultAddr
	}
	f.ui = base
	return f
}

// window is the web window of this run, and what it stands on.
type window struct {
	server *web.Server
	lines  *web.Log
}

// openWindow listens for the window, or returns nil when none is wanted. The node's log then goes to the window too. The
// secret beside the state file lets a page that is open recover when the member is started again on the same address.
func openWindow(env *cli.Env, f flags, cfg *node.Config) (*window, error) {
	addr := f.window
	if addr == "" {
		return nil, nil
	}
	if err := web.CheckAddr(addr); err != nil {
		return nil, cli.WithHint(cli.Usage(fmt.Errorf("--window %w", err)), "give --window 127.0.0.1:0 for a free port")
	}
	secret, err := web.LoadSecret(filepath.Join(filepath.Dir(cfg.StatePath), "window.key"))
	if err != nil {
		return nil, err
	}
	server, err := member.Listen(web.Config{Addr: addr, Secret: secret, Log: env.Log})
	if errors.Is(err, syscall.EADDRINUSE) {
		err = cli.WithHint(err, "another program uses that port; --window 127.0.0.1:0 takes a free one")
	}
	if err != nil {
		return nil, err
	}
	w := &window{server: server, lines: web.NewLog(logLines, nil)}
	cfg.Log = slog.New(slog.NewMultiHandler(cfg.Log.Handler(), w.lines.Handler(slog.LevelDebug)))
	return w, nil
}

// close gives the address back, for a window that was never run.
func (w *window) close() error {
	if w == nil {
		return nil
	}
	return w.server.Close()
}

// attach joins the window to the node and returns what runs it until its context ends. It subscribes, so it comes before
// the node runs.
func (w *window) attach(env *cli.Env, n *node.Node) (run func(context.Context), err error) {
	if w == nil {
		return nil, nil
	}
	page := member.New(member.Config{Node: n, Self: n.Role(), Lines: w.lines, Log: env.Log})
	if err := page.Mount(w.server); err != nil {
		return nil, err
	}
	events := n.Subscribe()
	return func(ctx context.Context) {
		defer events.Close()
		var parts sync.WaitGroup
		parts.Go(func() { page.Run(ctx) })
		parts.Go(func() { w.server.Announce(ctx, env.Err, page.Feed()) })
		parts.Go(func() {
			if err := w.server.Serve(ctx); err != nil {
				env.Log.Error("the window ended", "err", err)
			}
		})
		for {
			e, ok := events.Next(ctx)
			if !ok {
				break
			}
			page.Show(e)
		}
		<-ctx.Done()
		parts.Wait()
	}, nil
}

// webPrinter is what stays on stdout when a window shows the rest: the lines of the session keys.
type webPrinter struct{ plainPrinter }

func (p *webPrinter) print(e node.Event) error {
	if _, message := e.(node.Message); message {
		return nil
	}
	return p.plainPrinter.print(e)
}
