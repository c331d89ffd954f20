package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"conclave/cmd/internal/cli"
	"conclave/cmd/internal/web/relay"
	"conclave/overlay"
	"conclave/overlay/durable"
	"conclave/pki/keystore"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
)

// defaultListen is TCP, QUIC and WebSocket on port 4001, all interfaces; IPv6 only where the machine has it. WebSocket
// shares TCP's port, so that one that is forwarded serves both.
func defaultListen() []string {
	list := []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/4001/ws"}
	probe, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		return list
	}
	_ = probe.Close()
	return append(list, "/ip6/::/tcp/4001", "/ip6/::/udp/4001/quic-v1", "/ip6/::/tcp/4001/ws")
}

// lanOn is the default of --lan: nothing is announced where the relay node does not listen.
const lanOn = "on"

// flags are the settings of one run. The zero values of listen and announce mean "not given".
type flags struct {
	listen   []string
	announce []string
	peer     []string
	via      []string
	ui       string
	lan      string
	config   string
}

// merge fills what neither flags nor environment set from the file, and the rest from the defaults.
func (f flags) merge(file fileConfig, given func(string) bool) flags {
	if !given("listen") {
		f.listen = file.Listen
	}
	if !given("announce") {
		f.announce = file.Announce
	}
	if !given("peer") {
		f.peer = file.Peer
	}
	if !given("via") {
		f.via = file.Via
	}
	if !given("ui") && file.UI != "" {
		f.ui = file.UI
	}
	if !given("lan") && file.LAN != "" {
		f.lan = file.LAN
	}
	if len(f.listen) == 0 {
		f.listen = defaultListen()
	}
	return f
}

// serve runs the relay node until ctx ends.
func serve(ctx context.Context, env *cli.Env, f flags, given func(string) bool) error {
	hangups := env.Hangups() // from here on SIGHUP does not end it
	var file fileConfig
	if f.config != "" {
		var err error
		if file, err = readConfig(f.config); err != nil {
			return cli.Usage(err)
		}
	}
	f = f.merge(file, given)
	if err := checkWindow(f.ui); err != nil {
		return err
	}
	if env.Group == "" {
		env.Group = file.Group
	}
	cfg, roster, err := configure(env, f, file.Limits)
	if err != nil {
		return err
	}
	window, err := openWindow(env, f.ui, filepath.Dir(cfg.StatePath), &cfg)
	if err != nil {
		return err
	}
	n, err := relaynode.New(cfg)
	if err != nil {
		if window != nil {
			_ = window.Close()
		}
		return explainStart(err)
	}
	for _, a := range n.Addrs() {
		fmt.Fprintf(env.Out, "relay address: %s\n", a)
	}
	env.Log.Info("serving", "group", cfg.Group.Name, "peer", n.Peer(), "roster", cfg.Roster.Version, "members", len(cfg.Roster.Members))
	err = run(ctx, env, n, roster, window, hangups)
	env.Log.Info("stopped")
	return err
}

// run runs the relay node, its window and the watch over its roster file until ctx or the relay node ends.
func run(ctx context.Context, env *cli.Env, n *relaynode.Node, roster *keystore.RosterFile, window *relay.Window, hangups <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var beside sync.WaitGroup
	beside.Go(func() { watchRoster(ctx, roster, rosterPoll, n.TakeRoster, env.Log) })
	beside.Go(func() { logHangups(ctx, env, hangups) })
	if window != nil {
		beside.Go(func() { window.Announce(ctx, env.Err) })
		beside.Go(func() {
			if err := window.Serve(ctx, n); err != nil {
				env.Log.Error("the window ended", "err", err)
			}
		})
	}
	err := n.Run(ctx)
	cancel()
	beside.Wait()
	return err
}

// logHangups answers SIGHUP, which does not end a relay node: the roster file is watched anyway.
func logHangups(ctx context.Context, env *cli.Env, hangups <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			env.Log.Info("SIGHUP: a newer roster is taken as soon as it is in the home; another configuration needs a restart")
		}
	}
}

// addressHint says what an address to listen on looks like.
const addressHint = "it looks like 0.0.0.0:4001, which is TCP and QUIC, [::]:4001, /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/tcp/4001/ws"

// configure reads identity and roster of the chosen group.
func configure(env *cli.Env, f flags, limits fileLimits) (relaynode.Config, *keystore.RosterFile, error) {
	var cfg relaynode.Config
	listen, err := cli.Multiaddrs("--listen", f.listen, addressHint)
	if err != nil {
		return cfg, nil, err
	}
	announce, err := cli.Multiaddrs("--announce", f.announce, addressHint)
	if err != nil {
		return cfg, nil, err
	}
	peers, err := relayAddrs("--peer", f.peer)
	if err != nil {
		return cfg, nil, err
	}
	via, err := relayAddrs("--via", f.via)
	if err != nil {
		return cfg, nil, err
	}
	dir, err := env.Dir()
	if err != nil {
		return cfg, nil, err
	}
	identity, err := dir.OpenRelay()
	if errors.Is(err, keystore.ErrNoIdentity) {
		err = cli.WithHint(err, "the group's keeper makes a home for this machine with: go run ./cmd/ca export --relay --to DIR")
	}
	if err != nil {
		return cfg, nil, err
	}
	if err := env.CheckPapers("the relay node's certificate", &identity.Papers, time.Now()); err != nil {
		return cfg, nil, err
	}
	file, roster := dir.RosterFile(identity.Group, nil), identity.Roster
	cfg = relaynode.Config{
		Group: identity.Group, Certificate: identity.Cert.DER, Identity: identity.Identity, Roster: roster, RosterFile: file,
		Listen: listen, Announce: announce, Peers: peers, Via: via, StatePath: filepath.Join(identity.Dir, "state.db"), Log: env.Log,
	}
	on, interfaces, err := cli.LAN(f.lan, true)
	if err != nil {
		return cfg, nil, err
	}
	if on {
		cfg.LAN = &relaynode.LAN{Interfaces: interfaces}
	}
	limits.apply(&cfg.Limits, len(roster.Members))
	return cfg, file, nil
}

// relayAddrs reads addresses of other relay nodes, which name their peer ID.
func relayAddrs(flag string, list []string) ([]ma.Multiaddr, error) {
	all, err := cli.Multiaddrs(flag, list, addressHint)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if overlay.CheckRelayAddr(a) != nil {
			return nil, cli.WithHint(cli.Usagef("%s %q %w", flag, a, overlay.ErrNoRelayID), "take the address as the other relay node prints it")
		}
	}
	return all, nil
}

// explainStart adds what to do about the things that most often keep a relay node from starting.
func explainStart(err error) error {
	if errors.Is(err, durable.ErrLocked) {
		return cli.WithHint(err, "another relay node runs on this home; stop it first, or use another --home")
	}
	return cli.ExplainListen(err, "; members look for it at the port that the roster names")
}
