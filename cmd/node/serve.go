package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"conclave/cmd/internal/cli"
	"conclave/node"
	"conclave/overlay/durable"
	"conclave/overlay/wire"
	"conclave/pki/keystore"
)

// flushWait is how long the end of input waits for acknowledgements.
const flushWait = 10 * time.Second

// serve runs the member until the end of input, /quit, or the end of ctx.
func serve(ctx context.Context, env *cli.Env, f flags) error {
	f = f.withWindow()
	interactive, err := wantsScreen(env, f)
	if err != nil {
		return err
	}
	if interactive {
		return serveScreen(ctx, env, f)
	}
	show, err := newPrinter(env, f)
	if err != nil {
		return err
	}
	cfg, err := configure(env, f)
	if err != nil {
		return err
	}
	win, err := openWindow(env, f, &cfg)
	if err != nil {
		return err
	}
	n, err := node.New(cfg)
	if err != nil {
		return errors.Join(explain(err, cfg.StatePath), win.close())
	}
	s := &session{node: n, env: env, screen: &screen{printer: show}, json: f.ui == "json", silent: f.ui == "web"}
	if s.beside, err = win.attach(env, n); err != nil {
		return errors.Join(err, n.Close(), win.close())
	}
	return errors.Join(s.run(ctx, f.stay), n.Close())
}

// session is one run of a member with its two streams.
type session struct {
	node    *node.Node
	env     *cli.Env
	screen  *screen
	json    bool
	silent  bool                  // nothing is read from stdin: the window is where people write
	refused int                   // lines of input; owned by read, and by run once read has ended
	beside  func(context.Context) // runs the window until its context ends; nil without one
}

// run connects the node to the streams and returns when one of them, or the node, has ended.
func (s *session) run(ctx context.Context, stay bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.node.Subscribe()
	ran, shown, typed := make(chan error, 1), make(chan error, 1), make(chan inputEnd, 1)
	go func() { shown <- s.show(events) }()
	go func() { ran <- s.node.Run(ctx) }()
	if !s.silent {
		go func() { typed <- s.read(ctx) }()
	}
	if s.beside != nil {
		var window sync.WaitGroup
		window.Go(func() { s.beside(ctx) })
		defer window.Wait()
		defer cancel()
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-ran:
		err = cli.ExplainListen(err, "")
		ran <- nil
	case err = <-shown:
		shown <- nil
	case end := <-typed:
		switch {
		case end == inputQuit || !stay:
			err = errors.Join(s.flush(ctx), s.refusal())
		default:
			err = s.wait(ctx, ran, shown)
		}
	}
	cancel()
	err = errors.Join(err, s.node.Close())
	return errors.Join(err, cli.ExplainListen(<-ran, ""), <-shown)
}

// wait is --stay: the input has ended and the rest goes on.
func (s *session) wait(ctx context.Context, ran, shown chan error) (err error) {
	select {
	case <-ctx.Done():
	case err = <-ran:
		err = cli.ExplainListen(err, "")
		ran <- nil
	case err = <-shown:
		shown <- nil
	}
	return err
}

// flush waits until everything typed is acknowledged.
func (s *session) flush(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	err := s.node.Flush(limited)
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, node.ErrClosed): // closed: why is what Run returns
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return cli.WithHint(fmt.Errorf("some messages were not sent within %s", flushWait),
			"they are kept and go out when this member runs again and reaches a relay node")
	}
	return err
}

// show prints events until the node is closed. An error means that the output is gone.
func (s *session) show(events *node.Subscription) error {
	defer events.Close()
	for {
		e, ok := events.Next(context.Background())
		if !ok {
			return nil
		}
		if err := s.screen.print(e); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
}

// addressHint says what an address looks like.
const addressHint = "it looks like 203.0.113.5:4001, relay.example:4001, [2001:db8::1]:4001 or /ip4/203.0.113.5/tcp/4001/p2p/12D3Koo…; the relay node prints its addresses"

// configure reads identity and roster of the chosen member.
func configure(env *cli.Env, f flags) (node.Config, error) {
	var cfg node.Config
	relays, err := cli.Multiaddrs("--relay", f.relay, addressHint)
	if err != nil {
		return cfg, err
	}
	dialOnly := slices.Equal(f.listen, []string{"none"})
	if dialOnly {
		f.listen = nil
	}
	listen, err := cli.Multiaddrs("--listen", f.listen, addressHint)
	if err != nil {
		return cfg, err
	}
	dir, identity, err := openMember(env, f.role)
	if err != nil {
		return cfg, err
	}
	if err := env.CheckPapers("the certificate of "+string(identity.Cert.Role), &identity.Papers, time.Now()); err != nil {
		return cfg, err
	}
	file, roster := dir.RosterFile(identity.Group, nil), identity.Roster
	on, interfaces, err := cli.LAN(f.lan, len(relays) == 0)
	if err != nil {
		return cfg, err
	}
	if !on && len(relays) == 0 && len(roster.Relays) == 0 {
		return cfg, cli.WithHint(errors.New("the roster names no relay node"), "give one with --relay ADDRESS, or leave --lan off out")
	}
	if on {
		cfg.LAN = &node.LAN{Interfaces: interfaces}
	}
	return node.Config{
		LAN: cfg.LAN,

		Group: identity.Group, Certificate: identity.Cert.DER, Identity: identity.Identity, RSA: identity.RSA,
		Roster: roster, RosterFile: file, StatePath: filepath.Join(identity.Dir, "state.db"), Relays: relays, Listen: listen,
		DialOnly: dialOnly, Log: env.Log,
	}, nil
}

// openMember opens the identity with the role that was asked for, or the only one that is here.
func openMember(env *cli.Env, asked string) (keystore.Dir, *keystore.Member, error) {
	dir, err := env.Dir()
	if err != nil {
		return dir, nil, err
	}
	role, err := roleOf(dir, asked)
	if err != nil {
		return dir, nil, err
	}
	identity, err := dir.OpenMember(role)
	return dir, identity, err
}

// roleOf returns the role that was asked for, or the only one that is here.
func roleOf(dir keystore.Dir, asked string) (wire.Role, error) {
	if asked != "" {
		role, err := wire.ParseRole(asked)
		return role, cli.Usage(err)
	}
	roles, err := dir.Roles()
	if err != nil {
		return "", err
	}
	switch len(roles) {
	case 0:
		return "", keystore.ErrNoIdentity
	case 1:
		return roles[0], nil
	}
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return "", cli.WithHint(cli.Usagef("several members are on this machine"), "choose one with --role: "+strings.Join(names, ", "))
}

// explain adds what to do about a node that cannot be made.
func explain(err error, state string) error {
	var damaged *durable.CorruptError
	var newer *durable.NewerError
	switch {
	case errors.Is(err, durable.ErrLocked):
		return cli.WithHint(err, "this member runs already on this machine; stop it first")
	case errors.As(err, &damaged):
		return cli.WithHint(err, "move "+state+" away: a new key is agreed on, and what was not sent yet is lost")
	case errors.As(err, &newer):
		return cli.WithHint(err, "use the newer program")
	case errors.Is(err, node.ErrNotMember):
		return cli.WithHint(err, "ask whoever keeps the group's CA key for a roster that lists this member")
	}
	return err
}
