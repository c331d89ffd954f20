package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"conclave/overlay"
	"conclave/overlay/topic"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
)

// Config is what a Node is made of.
type Config struct {
	// Group is the group whose member this is.
	Group *pki.Group
	// Certificate is this member's certificate, in DER.
	Certificate []byte
	// Identity is the member's libp2p key. It signs.
	Identity ed25519.PrivateKey
	// RSA is the member's key for shares. It only decrypts.
	RSA *rsa.PrivateKey
	// Roster is the newest roster at hand; this member has to be in it.
	Roster *pki.Roster
	// RosterFile is where a newer roster is kept. Nil keeps it in memory, and a restart may then begin with an old one.
	RosterFile pki.RosterStore
	// StatePath is the state file. Empty keeps the state in memory: a restart then needs a new epoch.
	StatePath string
	// Relays are addresses of relay nodes, each ending in /p2p/<peer ID> (which may be left out when the roster has
	// one relay node only). None means the roster's addresses.
	Relays []ma.Multiaddr
	// LAN makes the member look for the others on the local network too, and listen. Nil does not.
	LAN *LAN
	// Listen are addresses to accept connections on. None means free TCP and QUIC ports, so that others can reach this
	// member directly.
	Listen []ma.Multiaddr
	// LeaveMessages leaves what others send unopened and unacknowledged, for the next run that shows it: for a member
	// that only looks how things stand.
	LeaveMessages bool
	// DialOnly has the member accept no connections: all traffic runs through relay nodes and what it dials.
	DialOnly bool
	// Log gets what an operator wants to know. Nil discards it.
	Log *slog.Logger
	// Now is the clock; nil means time.Now. It dates certificates, openings and messages; timers run on the process's own.
	Now func() time.Time
	// Rand is the source of randomness; nil means crypto/rand. Anything else is for tests.
	Rand io.Reader
	// ListenUDP opens the sockets under QUIC; nil means the system's. Anything else is for simulated networks, where no holes
	// are punched.
	ListenUDP func(network string, at *net.UDPAddr) (net.PacketConn, error)
	// Timing is the set of waiting times. Zero fields take their defaults.
	Timing Timing

	network network // overlay's; tests put one of their own around it
}

// network makes the parts of a member that reach others.
type network struct {
	host  func(overlay.HostConfig) (host.Host, error)
	topic func(context.Context, host.Host, topic.Config) (*topic.Handle, error)
}

// Timing is how long the parts of a member wait. Every zero field takes the default beside it.
type Timing struct {
	StoreAfter    time.Duration // a batch without acknowledgement goes over the session stream; 2 s
	QueueCommit   time.Duration // a message is on disk here after that, unless a relay node has it; of a burst, 25 times that; 10 ms
	WindowCommit  time.Duration // longest wait before replay windows are on disk, while messages come without a pause; 50 ms
	AckBase       time.Duration // acknowledgements gather for once to twice that before they go alone; 150 ms
	AckPerMember  time.Duration // the same for each member of the roster, where that is more; 40 ms
	GapGrace      time.Duration // how long a gap may fill by itself before a fetch; 30 ms
	GapGiveUp     time.Duration // how long a gap waits that nobody who is there can fill; 20 s
	RedialMin     time.Duration // first wait before a redial; 200 ms
	RedialMax     time.Duration // longest wait before a redial; 2 s
	DialShort     time.Duration // longest most connection attempts take; 3 s
	DialTimeout   time.Duration // longest the others take, and a handshake; 10 s
	ProbeEvery    time.Duration // a link on which nothing came for that long is probed; 3 s
	ProbeQuick    time.Duration // an unanswered probe ends the link, after something happened to the network; 1.5 s
	ProbeTimeout  time.Duration // an unanswered probe ends the link; 5 s
	DoubtAfter    time.Duration // a topic that carried nothing for that long ends the link; 10 s
	CircuitAfter  time.Duration // a circuit is begun that long after its first share went to the mailbox; 200 ms
	CircuitLinger time.Duration // a circuit that is not used is closed; 10 s
	ShareTimeout  time.Duration // longest a share stream takes; 10 s
	PunchAfter    time.Duration // from somebody's coming to the first attempt to reach them directly; 1 s
	PunchRetry    time.Duration // wait after a failed one, doubled each time; 30 s
	PunchRetryMax time.Duration // longest such wait; 30 min
}

// defaultTiming is what zero fields take. The waits for acknowledgements, windows, circuits and stores were designed;
// the others are arbitrary within a factor of a few.
var defaultTiming = Timing{
	StoreAfter:    2 * time.Second,
	QueueCommit:   10 * time.Millisecond,
	WindowCommit:  50 * time.Millisecond,
	AckBase:       150 * time.Millisecond,
	AckPerMember:  40 * time.Millisecond,
	GapGrace:      30 * time.Millisecond,
	GapGiveUp:     20 * time.Second,
	RedialMin:     200 * time.Millisecond,
	RedialMax:     2 * time.Second,
	DialShort:     3 * time.Second,
	DialTimeout:   10 * time.Second,
	ProbeEvery:    3 * time.Second,
	ProbeQuick:    1500 * time.Millisecond,
	ProbeTimeout:  5 * time.Second,
	DoubtAfter:    10 * time.Second,
	CircuitAfter:  200 * time.Millisecond,
	CircuitLinger: 10 * time.Second,
	ShareTimeout:  10 * time.Second,
	PunchAfter:    time.Second,
	PunchRetry:    30 * time.Second,
	PunchRetryMax: 30 * time.Minute,
}

// fields lists the fields, so that defaults are taken by one loop.
func (t *Timing) fields() []*time.Duration {
	return []*time.Duration{
		&t.StoreAfter, &t.QueueCommit, &t.WindowCommit, &t.AckBase, &t.AckPerMember, &t.GapGrace, &t.GapGiveUp, &t.RedialMin,
		&t.RedialMax, &t.DialShort, &t.DialTimeout, &t.ProbeEvery, &t.ProbeQuick, &t.ProbeTimeout, &t.DoubtAfter, &t.CircuitAfter, &t.CircuitLinger,
		&t.ShareTimeout, &t.PunchAfter, &t.PunchRetry, &t.PunchRetryMax,
	}
}

// withDefaults returns t with its zero fields filled.
func (t Timing) withDefaults() Timing {
	d := defaultTiming
	for i, f := range t.fields() {
		if *f == 0 {
			*f = *d.fields()[i]
		}
	}
	return t
}

// ErrNotMember is returned when the roster does not contain this member.
var ErrNotMember = errors.New("the roster does not contain this member")

// validate fills defaults and refuses what cannot work.
func (c Config) validate() (Config, error) {
	switch {
	case c.Group == nil || c.Roster == nil:
		return c, errors.New("a node needs a group and its roster")
	case len(c.Identity) != ed25519.PrivateKeySize || c.RSA == nil:
		return c, errors.New("a node needs its identity key and its RSA key")
	case len(c.Certificate) == 0:
		return c, errors.New("a node needs its certificate")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.network.host == nil {
		c.network.host = overlay.NewHost
	}
	if c.network.topic == nil {
		c.network.topic = topic.Join
	}
	c.Timing = c.Timing.withDefaults()
	for _, f := range c.Timing.fields() {
		if *f < 0 {
			return c, fmt.Errorf("a waiting time is negative: %v", *f)
		}
	}
	return c, nil
}
