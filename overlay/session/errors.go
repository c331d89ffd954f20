package session

import (
	"errors"
	"fmt"
	"math"
	"time"

	"conclave/overlay/wire"
)

var (
	// ErrNotAdmitted is returned when the remote peer is not in the roster. The peer is told nothing.
	ErrNotAdmitted = errors.New("the peer is not in the roster")
	// ErrSignature is returned when a handshake message is not signed by the remote peer for this group, this
	// direction, this pair of peers and these nonces.
	ErrSignature = errors.New("the handshake's signature does not hold")
	// ErrReplay is returned when a nonce was seen before.
	ErrReplay = errors.New("the handshake's nonce was seen before")
	// ErrTooMany is returned when a peer began more handshakes within two minutes than a nonce cache remembers.
	ErrTooMany = errors.New("too many handshakes of one peer")
	// ErrVersion is returned when the other side speaks another version of the session protocol.
	ErrVersion = errors.New("the other side speaks another version of the session protocol")
	// ErrCertificate is returned, with package pki's reason, for a certificate that is not exactly in the profile for
	// the remote peer, not that of a member (or, to a member, of a relay node), or not in the roster.
	ErrCertificate = errors.New("the other side's certificate is refused")
	// ErrClosed is returned by a connection that was closed on this side.
	ErrClosed = errors.New("the session is closed")
	// ErrQueueFull is returned by Offer when the send queue has no room.
	ErrQueueFull = errors.New("the session's send queue is full")
	// ErrSilent is returned when nothing arrived for so long that the connection is taken for dead.
	ErrSilent = errors.New("the other side of the session is silent")
)

// SkewError is returned when the clocks of the two sides are more than MaxSkew apart.
type SkewError struct {
	Skew time.Duration // the remote's clock minus ours
	Told bool          // the other side refused us, rather than we it
}

// Error names the skew.
func (e *SkewError) Error() string {
	side := "ahead of"
	by := e.Skew
	if by < 0 {
		side, by = "behind", -max(by, -math.MaxInt64)
	}
	return fmt.Sprintf("the other side's clock is %s %s this one's, more than %s", by.Round(time.Millisecond), side, MaxSkew)
}

// RefusedError is returned when the other side refused with a message.
type RefusedError struct{ Refusal wire.Refusal }

// Error gives code and text.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused by the other side: %s: %q", e.Refusal.Code, e.Refusal.Text)
}

// skew returns remote minus local, both Unix milliseconds, as a duration that stays at the ends of its range.
func skew(remote, local int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	d := remote - local
	switch {
	case remote >= 0 && local < 0 && d < 0: // overflowed
		return math.MaxInt64
	case remote < 0 && local >= 0 && d >= 0: // overflowed
		return math.MinInt64
	case d > most:
		return math.MaxInt64
	case d < -most:
		return math.MinInt64
	}
	return time.Duration(d) * time.Millisecond
}
