package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
)

// Greeting is what a relay node says of itself in a handshake.
type Greeting struct {
	Certificate   *pki.Certificate // verified
	RosterVersion uint64
	Skew          time.Duration // the relay node's clock minus ours, give or take the time that the answer took
}

// Greet runs the member's side of the handshake up to the relay node's answer, and then lets it drop: no session begins,
// so none that the member has in another process is replaced. It fails as Initiate does.
func Greet(ctx context.Context, s network.Stream, cfg Config) (Greeting, error) {
	h, done, err := begin(ctx, s, cfg)
	if err != nil {
		return Greeting{}, errors.Join(err, s.Reset())
	}
	defer done()
	_, cert, reply, err := h.greet()
	_ = s.Reset()
	if err != nil {
		return Greeting{}, fmt.Errorf("session handshake with %s: %w", h.remote, cause(ctx, err))
	}
	return Greeting{cert, reply.RosterVersion, skew(reply.TimeMs, h.Now().UnixMilli())}, nil
}
