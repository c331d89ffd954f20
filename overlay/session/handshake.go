package session

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// domains are the labels of a handshake's signatures. Each names the direction too: hello and finish are the opener's.
type domains struct{ hello, reply, finish string }

var (
	withMember = domains{"conclave session hello v1", "conclave session reply v1", "conclave session finish v1"}
	withRelay  = domains{"conclave peer hello v1", "conclave peer reply v1", "conclave peer finish v1"}
)

// domains returns the labels for the kind of session.
func (c *Config) domains() domains {
	if c.Peering { // defence: session-labels
		return withRelay
	}
	return withMember
}

// openerKind is whose certificate the side has to have that opens the stream; the other side is a relay node always.
func (c *Config) openerKind() pki.Kind {
	if c.Peering {
		return pki.KindRelay
	}
	return pki.KindMember
}

// handshake is one run of the protocol on one stream.
type handshake struct {
	Config
	stream network.Stream
	reader *bufio.Reader
	pulse  *pulse // what reader reads from
	local  peer.ID
	remote peer.ID
}

func begin(ctx context.Context, s network.Stream, cfg Config) (*handshake, func(), error) {
	if err := cfg.complete(); err != nil {
		return nil, nil, err
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	from := &pulse{stream: s}
	h := &handshake{
		Config: cfg, stream: s, reader: bufio.NewReaderSize(from, readBuffer), pulse: from,
		local: s.Conn().LocalPeer(), remote: s.Conn().RemotePeer(),
	}
	if err := s.SetDeadline(time.Now().Add(cfg.Timeout)); err != nil { // defence: session-timeout
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	return h, func() { stop() }, nil
}

// signed is what a handshake signature covers, SPEC.md section 4.1:
//
//	domain | group 32 | u16 len(member) | member peer ID | u16 len(relay) | relay peer ID |
//	protocol version u32 | time u64 (two's complement, ms) | member's nonce 32 | relay's nonce 32 | database 16
//
// The hello has zeros for the relay's nonce and database; the finish has zero for the time.
type signed struct {
	domain        string
	member, relay peer.ID
	time          int64
	nonceM        wire.Nonce
	nonceR        wire.Nonce
	database      wire.DatabaseID
}

func (h *handshake) bytes(v signed) []byte {
	b := append([]byte(v.domain), h.Group.ID[:]...)
	for _, p := range []peer.ID{v.member, v.relay} { // defence: session-peers
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
		b = append(b, p...)
	}
	b = binary.BigEndian.AppendUint32(b, wire.SessionVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(v.time))
	b = append(b, v.nonceM[:]...)
	b = append(b, v.nonceR[:]...)
	return append(b, v.database[:]...)
}

func (h *handshake) sign(v signed) []byte { return ed25519.Sign(h.Identity, h.bytes(v)) }

// verify checks a signature with the key that the remote's proven peer ID embeds.
func (h *handshake) verify(v signed, signature []byte) error {
	key, err := wire.PublicKeyOf(h.remote)
	if err != nil || !ed25519.Verify(key, h.bytes(v), signature) {
		return ErrSignature
	}
	return nil
}

func (h *handshake) nonce() (n wire.Nonce, err error) {
	_, err = io.ReadFull(h.Rand, n[:])
	return n, err
}

func (h *handshake) send(m wire.Message) error {
	b, err := wire.AppendMessage(nil, m)
	if err != nil {
		return err
	}
	_, err = h.stream.Write(b)
	return err
}

// offer hands the other side's roster to whoever keeps ours, if it says that it is newer.
func (h *handshake) offer(version uint64, envelope []byte) {
	if len(envelope) == 0 || h.OfferRoster == nil || version <= h.Roster().Version {
		return
	}
	if err := h.OfferRoster(envelope); err != nil {
		h.Log.Debug("roster of a handshake not taken", "peer", h.remote, "version", version, "err", err)
	}
}

// checkTime wants the other side's clock within MaxSkew of ours.
func (h *handshake) checkTime(remoteMs int64) error {
	if d := skew(remoteMs, h.Now().UnixMilli()); d > MaxSkew || d < -MaxSkew { // defence: session-clock
		return &SkewError{Skew: d}
	}
	return nil
}

// checkCertificate wants the profile, the roster and the right kind, for the remote peer.
func (h *handshake) checkCertificate(der []byte, kind pki.Kind) (*pki.Certificate, error) {
	c, err := h.Roster().Verify(h.Group, der, h.remote, h.Now()) // defence: session-certificate
	if err == nil && c.Kind != kind {                            // defence: session-kind
		err = fmt.Errorf("it is that of a %s", c.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return c, nil
}

// Initiate runs the member's side of the handshake on a stream that it opened. A failure resets the stream.
func Initiate(ctx context.Context, s network.Stream, cfg Config) (*Conn, error) {
	h, done, err := begin(ctx, s, cfg)
	if err != nil {
		return nil, errors.Join(err, s.Reset())
	}
	defer done()
	c, err := h.initiate()
	if err != nil {
		_ = s.Reset()
		return nil, fmt.Errorf("session handshake with %s: %w", h.remote, cause(ctx, err))
	}
	return c, nil
}

// greet sends the hello and returns what the relay node answers, when it is all in order.
func (h *handshake) greet() (mine wire.Nonce, cert *pki.Certificate, reply *wire.HelloReply, err error) {
	if mine, err = h.nonce(); err != nil {
		return mine, nil, nil, err
	}
	if err := h.send(h.hello(mine)); err != nil {
		return mine, nil, nil, err
	}
	m, err := wire.ReadMessage(h.reader, wire.TypeHelloReply, wire.TypeRefusal)
	if err != nil {
		return mine, nil, nil, err
	}
	if refusal, ok := m.(*wire.Refusal); ok {
		return mine, nil, nil, h.refused(refusal)
	}
	reply = m.(*wire.HelloReply)
	cert, err = h.checkReply(mine, reply)
	return mine, cert, reply, err
}

func (h *handshake) initiate() (*Conn, error) {
	mine, cert, reply, err := h.greet()
	if err != nil {
		return nil, err
	}
	finish := signed{domain: h.domains().finish, member: h.local, relay: h.remote, nonceM: mine, nonceR: reply.Nonce, database: reply.Database}
	if err := h.send(&wire.Finish{Signature: h.sign(finish)}); err != nil {
		return nil, err
	}
	return h.connection(cert, reply.RosterVersion, reply.Database)
}

func (h *handshake) hello(mine wire.Nonce) *wire.Hello {
	roster := h.Roster()
	hello := &wire.Hello{
		Protocol: wire.SessionVersion, Nonce: mine, TimeMs: h.Now().UnixMilli(), RosterVersion: roster.Version, Certificate: h.Cert,
	}
	if h.AttachRoster {
		hello.Roster = roster.Envelope
	}
	hello.Signature = h.sign(signed{domain: h.domains().hello, member: h.local, relay: h.remote, time: hello.TimeMs, nonceM: mine})
	return hello
}

// checkReply authenticates first, then judges the clock (so that a certificate that looks expired to a wrong clock is
// reported as the skew that it is), then everything else.
func (h *handshake) checkReply(mine wire.Nonce, r *wire.HelloReply) (*pki.Certificate, error) {
	if r.Protocol != wire.SessionVersion {
		return nil, ErrVersion
	}
	v := signed{domain: h.domains().reply, member: h.local, relay: h.remote, time: r.TimeMs, nonceM: mine, nonceR: r.Nonce, database: r.Database}
	if err := h.verify(v, r.Signature); err != nil { // defence: session-reply-signature
		return nil, err
	}
	if err := h.checkTime(r.TimeMs); err != nil {
		return nil, err
	}
	h.offer(r.RosterVersion, r.Roster)
	cert, err := h.checkCertificate(r.Certificate, pki.KindRelay)
	if err != nil {
		return nil, err
	}
	return cert, h.Nonces.Use(h.remote, r.Nonce, h.Now()) // defence: session-reply-nonce
}

func (h *handshake) refused(r *wire.Refusal) error {
	if r.Code == wire.RefusedSkew {
		return &SkewError{Skew: skew(r.TimeMs, h.Now().UnixMilli()), Told: true}
	}
	return &RefusedError{*r}
}

// Accept runs the relay node's side of the handshake on a stream that a peer opened. A failure resets the stream,
// after a refusal if the peer is in the roster.
func Accept(ctx context.Context, s network.Stream, cfg Config) (*Conn, error) {
	h, done, err := begin(ctx, s, cfg)
	if err != nil {
		return nil, errors.Join(err, s.Reset())
	}
	defer done()
	c, err := h.accept()
	if err != nil {
		h.refuse(err)
		return nil, fmt.Errorf("session handshake with %s: %w", h.remote, cause(ctx, err))
	}
	return c, nil
}

func (h *handshake) accept() (*Conn, error) {
	m, err := wire.ReadMessage(h.reader, wire.TypeHello)
	if err != nil {
		return nil, err
	}
	hello := m.(*wire.Hello)
	cert, err := h.checkHello(hello)
	if err != nil {
		return nil, err
	}
	mine, err := h.nonce()
	if err != nil {
		return nil, err
	}
	if err := h.send(h.reply(hello, mine)); err != nil {
		return nil, err
	}
	m, err = wire.ReadMessage(h.reader, wire.TypeFinish)
	if err != nil {
		return nil, err
	}
	v := signed{domain: h.domains().finish, member: h.remote, relay: h.local, nonceM: hello.Nonce, nonceR: mine, database: h.Database}
	if err := h.verify(v, m.(*wire.Finish).Signature); err != nil { // defence: session-finish
		return nil, err
	}
	return h.connection(cert, hello.RosterVersion, h.Database)
}

// checkHello takes a newer roster from anyone (it is signed by the CA), then admits, then checks in the order of
// checkReply. The nonce comes last, so that only members' nonces are remembered.
func (h *handshake) checkHello(m *wire.Hello) (*pki.Certificate, error) {
	h.offer(m.RosterVersion, m.Roster)
	if !h.Roster().Admits(h.remote) { // defence: session-roster
		return nil, ErrNotAdmitted
	}
	if m.Protocol != wire.SessionVersion {
		return nil, ErrVersion
	}
	v := signed{domain: h.domains().hello, member: h.remote, relay: h.local, time: m.TimeMs, nonceM: m.Nonce}
	if err := h.verify(v, m.Signature); err != nil { // defence: session-hello-signature
		return nil, err
	}
	if err := h.checkTime(m.TimeMs); err != nil {
		return nil, err
	}
	cert, err := h.checkCertificate(m.Certificate, h.openerKind())
	if err != nil {
		return nil, err
	}
	return cert, h.Nonces.Use(h.remote, m.Nonce, h.Now()) // defence: session-nonce
}

func (h *handshake) reply(hello *wire.Hello, mine wire.Nonce) *wire.HelloReply {
	roster := h.Roster()
	r := &wire.HelloReply{
		Protocol: wire.SessionVersion, Nonce: mine, TimeMs: h.Now().UnixMilli(), RosterVersion: roster.Version,
		Certificate: h.Cert, Database: h.Database,
	}
	if hello.RosterVersion < roster.Version {
		r.Roster = roster.Envelope
	}
	r.Signature = h.sign(signed{
		domain: h.domains().reply, member: h.remote, relay: h.local, time: r.TimeMs, nonceM: hello.Nonce, nonceR: mine, database: h.Database,
	})
	return r
}

// refuse ends a failed handshake. Only a peer of the roster is told why, and only what it can act on.
func (h *handshake) refuse(err error) {
	defer h.stream.Reset()
	refusal := &wire.Refusal{}
	var skewed *SkewError
	switch {
	case !h.Roster().Admits(h.remote):
		return
	case errors.As(err, &skewed):
		refusal.Code, refusal.TimeMs = wire.RefusedSkew, h.Now().UnixMilli()
	case errors.Is(err, ErrReplay):
		refusal.Code = wire.RefusedReplay
	case errors.Is(err, ErrTooMany):
		refusal.Code = wire.RefusedLimit
	case errors.Is(err, ErrCertificate):
		refusal.Code = wire.RefusedProfile
	default:
		return
	}
	if h.send(refusal) != nil {
		return
	}
	// A reset would overtake the refusal: close our side and give the peer a moment to close its own.
	_ = h.stream.CloseWrite()
	_ = h.stream.SetReadDeadline(time.Now().Add(refusalLinger))
	_, _ = io.Copy(io.Discard, io.LimitReader(h.reader, wire.MaxSmallMessage))
}

// cause prefers the context's reason to the stream's.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
