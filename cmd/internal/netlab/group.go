//go:build linux

package netlab

import (
	"slices"
	"strings"
	"time"

	"conclave/overlay/wire"
	"conclave/pki/pkitest"
)

// startup is how long a relay node may take until it serves.
const startup = 30 * time.Second

// Group is a group whose relay node and members are the real programs, each on a host of the lab. They share a home on
// disk, which holds only what belongs to each of them.
type Group struct {
	// Home is the home of all.
	Home string
	// Relay is the relay node's host; its process, once StartRelay has started it, is RelayProcess.
	Relay        *Host
	RelayProcess *Process

	lab *Lab
}

// NewGroup makes a group with those members, whose roster names the relay node on that host, at port 4001 over TCP and QUIC
// unless suffixes ("/tcp/443/ws") say otherwise.
func (l *Lab) NewGroup(relay *Host, roles []string, suffixes ...string) *Group {
	l.t.Helper()
	if len(suffixes) == 0 {
		suffixes = []string{"/tcp/4001", "/udp/4001/quic-v1"}
	}
	var cfg pkitest.Config
	for _, role := range roles {
		cfg.Roles = append(cfg.Roles, wire.Role(role))
	}
	for _, suffix := range suffixes {
		cfg.Addrs = append(cfg.Addrs, relay.IP()+suffix)
	}
	return &Group{Home: pkitest.New(l.t, cfg).Home(), Relay: relay, lab: l}
}

// StartRelay starts the relay node and returns once it serves.
func (g *Group) StartRelay(args ...string) *Process {
	g.lab.t.Helper()
	g.RelayProcess = g.Relay.Start(Binary(g.lab.t, "relay"), append([]string{"--home", g.Home}, args...)...)
	g.RelayProcess.Must("its address", 0, startup, func(l Line) bool { return strings.HasPrefix(l.Text, "relay address: ") })
	return g.RelayProcess
}

// StartMember starts a member that prints its events as JSON and goes on when its input ends. Without --relay among the
// arguments it uses the addresses in the roster.
func (g *Group) StartMember(on *Host, role string, args ...string) *Process {
	g.lab.t.Helper()
	return on.Start(Binary(g.lab.t, "node"), append([]string{"--home", g.Home, "--role", role, "--ui", "json", "--stay"}, args...)...)
}

// HasKeyOf matches the event of a key to which exactly those roles contributed.
func HasKeyOf(roles ...string) func(Line) bool {
	return func(l Line) bool { return l.Is("session_key") && slices.Equal(l.Strings("contributors"), roles) }
}

// Says matches the event of a message of that member with that text.
func Says(role, text string) func(Line) bool {
	return func(l Line) bool { return l.Is("message") && l.String("from") == role && l.String("text") == text }
}
