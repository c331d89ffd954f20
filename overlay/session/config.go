package session

import (
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
)

// Specification constants (SPEC.md section 8).
const (
	// MaxSkew is how far a hello's time may be from the receiver's clock, either way, inclusive.
	MaxSkew = 60 * time.Second
	// HandshakeTimeout ends a handshake that does not get on.
	HandshakeTimeout = 10 * time.Second
	// PingInterval is how long a side that sent nothing waits before it sends a ping.
	PingInterval = 5 * time.Second
	// SilenceTimeout ends a connection on which nothing arrived for that long.
	SilenceTimeout = 20 * time.Second
)

// Implementation constants. Arbitrary, within a factor of two.
const (
	sendQueueMessages = 4096
	sendQueueBytes    = 8 << 20
	readBuffer        = 1 << 7 // the length of a message and most small ones; every idle connection has one
	writeTimeout      = 30 * time.Second
	writeBytes        = 64 << 10 // of one Write, which a line of 64 kbit/s takes in 8 s
	keptBuffer        = 64 << 10 // of a send queue, between bursts
	refusalLinger     = time.Second
	closeTimeout      = 2 * time.Second
)

// Config is what a node brings to a handshake. One value may serve any number of handshakes at once.
type Config struct {
	// Group is the node's group. Required.
	Group *pki.Group
	// Cert is the node's certificate, DER. Required.
	Cert []byte
	// Identity signs. Required.
	Identity ed25519.PrivateKey
	// Roster returns the node's present roster. Required, never nil.
	Roster func() *pki.Roster
	// Now is the node's clock. Required.
	Now func() time.Time
	// Nonces remembers the nonces of the other side. Required; shared by all handshakes of a process.
	Nonces *NonceCache
	// Rand gives nonces. Default: the system's.
	Rand io.Reader
	// Log takes what a handshake refuses, at debug level. Required.
	Log *slog.Logger
	// OfferRoster is given the newer roster that the other side carries, before admission is decided. It verifies and
	// keeps it, or returns why not; after an error the handshake goes on with the roster that is there. Default: none
	// is taken.
	OfferRoster func(envelope []byte) error
	// AttachRoster puts this node's roster into its hello. A member sets it on its first hello to a relay node and
	// when RemoteRosterVersion of its last session there was older than its own. The reply carries the relay node's
	// roster whenever the hello named an older version.
	AttachRoster bool
	// Database is the relay node's database, told in its reply. Not used by a member.
	Database wire.DatabaseID
	// Peering is set when both sides are relay nodes, on overlay.PeerProtocol: signatures have labels of their own, both
	// certificates are relay nodes', and the messages are those between relay nodes.
	Peering bool
	// Timeout bounds the handshake. Default HandshakeTimeout.
	Timeout time.Duration
	// Ping and Silence override PingInterval and SilenceTimeout.
	Ping, Silence time.Duration
}

func (c *Config) complete() error {
	if c.Group == nil || len(c.Cert) == 0 || len(c.Identity) != ed25519.PrivateKeySize || c.Roster == nil ||
		c.Now == nil || c.Nonces == nil || c.Log == nil {
		return errors.New("a session needs Group, Cert, Identity, Roster, Now, Nonces and Log")
	}
	if c.Timeout <= 0 {
		c.Timeout = HandshakeTimeout
	}
	if c.Ping <= 0 {
		c.Ping = PingInterval
	}
	if c.Silence <= 0 {
		c.Silence = SilenceTimeout
	}
	return nil
}
