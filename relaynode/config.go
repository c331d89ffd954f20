package relaynode

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"conclave/overlay"
	"conclave/overlay/topic"
	"conclave/pki"
	"conclave/relaynode/backlog"
	"conclave/relaynode/mailbox"

	ma "github.com/multiformats/go-multiaddr"
)

// Config is what a Node is made of.
type Config struct {
	// Group is the group that the relay node serves.
	Group *pki.Group
	// Certificate is the relay node's certificate, in DER.
	Certificate []byte
	// Identity is the relay node's libp2p key. It signs.
	Identity ed25519.PrivateKey
	// Roster is the newest roster at hand. It decides who is served.
	Roster *pki.Roster
	// RosterFile is where a newer roster is kept. Nil keeps it in memory, and a restart may then begin with an old one,
	// in which somebody who was revoked since is still a member.
	RosterFile pki.RosterStore
	// Listen are the addresses to accept connections on; at least one.
	Listen []ma.Multiaddr
	// Announce are the addresses that others can reach the relay node at, when it cannot see them itself (port
	// forwarding, a public name). None means the addresses it listens on.
	Announce []ma.Multiaddr
	// LAN announces the relay node on the local network, so that members there need not know its address. Nil does not.
	LAN *LAN
	// Peers are addresses of other relay nodes of the group, beside those in the roster. Each ends in /p2p/<peer ID>.
	Peers []ma.Multiaddr
	// Via are addresses of relay nodes through which this one is to be reached, because it sits behind NAT. Each ends in
	// /p2p/<peer ID>. This node keeps a circuit slot there.
	Via []ma.Multiaddr
	// StatePath is the file with the mailbox and the backlog. Empty keeps both in memory: mail does not survive the
	// process, which is for tests.
	StatePath string
	// Log gets what an operator wants to know. Nil discards it.
	Log *slog.Logger
	// Now is the clock; nil means time.Now. It dates handshakes, certificates and what is stored; timers run on the
	// process's own.
	Now func() time.Time
	// ListenUDP opens the sockets under QUIC; nil means the system's. Anything else is for simulated networks.
	ListenUDP func(network string, at *net.UDPAddr) (net.PacketConn, error)
	// Inspect is how many of the latest batches and mails Held returns. Zero keeps none for it; a window asks for some.
	Inspect int
	// Limits bound what peers can cost. Zero fields take their defaults.
	Limits Limits
}

// Limits bound what peers can cost the relay node. Every zero field takes the default beside it.
type Limits struct {
	Admission  time.Duration // a connection without roster entry or handshake is closed after; 10 s
	Presence   time.Duration // shortest distance of two presence hints; 100 ms
	Quiet      time.Duration // a member that said nothing for that long is not present; 8 s
	Heads      time.Duration // a report of the backlog's state waits for so long a pause, and four times as long at most; 250 ms
	Send       time.Duration // a session whose queue stays full is closed after; 20 s
	Sweep      time.Duration // distance of two searches for expired mail and batches; 1 min
	MailWindow time.Duration // mail that is not acknowledged no longer holds back other mail after; 10 s

	Requests float64    // session requests of one peer a second, in the long run; 100 (burst: 10 s of it)
	Bytes    float64    // bytes that one peer deposits and stores a second, in the long run; 4 MiB (burst: 8 s of it)
	Fetches  float64    // bytes that one peer fetches a second, in the long run; 8 MiB (burst: 8 s of it)
	Topic    topic.Rate // what one peer publishes; topic.DefaultRate

	AppendQueue int // topic batches that wait for the backlog; 4096
	MailPage    int // bytes of mail handed on before the first acknowledgement is waited for; 256 KiB

	Mailbox mailbox.Limits // mailbox.DefaultLimits for the roster's size, following it
	Backlog backlog.Limits // backlog.DefaultLimits
}

// withDefaults returns l with its zero fields filled. Admission, Heads and their like were designed; the rates
// are arbitrary within a factor of a few: far above what a member does, far below what hurts.
func (l Limits) withDefaults() Limits {
	fill(&l.Admission, 10*time.Second)
	fill(&l.Presence, 100*time.Millisecond)
	fill(&l.Quiet, 8*time.Second)
	fill(&l.Heads, 250*time.Millisecond)
	fill(&l.Send, 20*time.Second)
	fill(&l.Sweep, time.Minute)
	fill(&l.MailWindow, 10*time.Second)
	fill(&l.Requests, 100)
	fill(&l.Bytes, 4<<20)
	fill(&l.Topic, topic.DefaultRate)
	fill(&l.Fetches, 8<<20)
	fill(&l.AppendQueue, 4096)
	fill(&l.MailPage, 256<<10)
	fill(&l.Backlog, backlog.DefaultLimits())
	return l
}

func fill[T comparable](field *T, otherwise T) {
	var zero T
	if *field == zero {
		*field = otherwise
	}
}

func (l Limits) validate() error {
	for _, d := range []time.Duration{l.Admission, l.Presence, l.Quiet, l.Heads, l.Send, l.Sweep, l.MailWindow} {
		if d < 0 {
			return errors.New("a time limit must not be negative")
		}
	}
	for _, r := range []float64{l.Requests, l.Bytes, l.Fetches} {
		if !(r > 0) {
			return errors.New("a rate must be above zero")
		}
	}
	if l.AppendQueue < 1 || l.MailPage < 1 {
		return errors.New("a queue must have room for one")
	}
	return nil
}

// validate fills defaults and refuses what cannot work.
func (c Config) validate() (Config, error) {
	switch {
	case c.Group == nil || c.Roster == nil:
		return c, errors.New("a relay node needs a group and its roster")
	case c.Roster.Group != c.Group.ID:
		return c, errors.New("the roster is another group's")
	case len(c.Identity) != ed25519.PrivateKeySize:
		return c, errors.New("a relay node needs its identity key")
	case len(c.Certificate) == 0:
		return c, errors.New("a relay node needs its certificate")
	case len(c.Listen) == 0:
		return c, errors.New("a relay node needs at least one address to listen on")
	}
	for _, a := range append(slices.Clone(c.Peers), c.Via...) {
		if err := overlay.CheckRelayAddr(a); err != nil {
			return c, err
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Limits = c.Limits.withDefaults()
	return c, c.Limits.validate()
}
