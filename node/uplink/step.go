package uplink

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"

	"conclave/overlay/session"

	"github.com/libp2p/go-libp2p/core/network"
)

// Step names a step on the way to a relay node.
type Step string

// The steps, in their usual order.
const (
	// StepDialled: there is an encrypted connection, which proves the relay node's peer ID.
	StepDialled Step = "dialled"
	// StepHandshake: both sides have shown their certificates and signed the other's nonce.
	StepHandshake Step = "handshake"
	// StepTopic: the relay node takes part in the group's topic.
	StepTopic Step = "topic"
	// StepReserved: the relay node keeps a circuit slot, so that other members reach this one.
	StepReserved Step = "reserved"
	// StepNoSlot: it does not; shares come by mailbox.
	StepNoSlot Step = "no slot"
)

// step tells that a connection got somewhere.
func (l *supervisor) step(s Step, format string, args ...any) {
	l.cfg.Sink.Step(l.relay, s, fmt.Sprintf(format, args...))
}

// dialled tells what kind of connection there is.
func (l *supervisor) dialled() {
	for _, c := range l.net.Host.Network().ConnsToPeer(l.relay) {
		l.step(StepDialled, "%s", Describe(c))
	}
}

// Describe says how a connection is carried and protected.
func Describe(c network.Conn) string {
	state := c.ConnState()
	security := string(state.Security)
	if security == "" && state.Transport == "quic-v1" {
		security = tls.VersionName(tls.VersionTLS13)
	}
	text := fmt.Sprintf("%s over %s", c.RemoteMultiaddr(), state.Transport)
	if security != "" {
		text += ", secured by " + security
	}
	return text
}

// shaken tells what the session handshake found.
func (l *supervisor) shaken(conn *session.Conn) {
	cert := conn.Remote()
	sum := sha256.Sum256(cert.DER)
	l.step(StepHandshake, "certificate of relay node %s verified (SHA-256 %s), nonces signed both ways, database %s, roster version %d there",
		cert.Role, hex.EncodeToString(sum[:]), conn.Database(), conn.RemoteRosterVersion())
}
