package overlay

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	msmux "github.com/multiformats/go-multistream"
)

// pingOnce sends random bytes over this very connection, on a stream of its own, and wants them back in time. The library's
// Ping takes whichever connection there is to a peer.
func pingOnce(ctx context.Context, c network.Conn) error {
	limited, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	s, err := c.NewStream(allowLimited(limited))
	if err != nil {
		return err
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if err := errors.Join(s.SetDeadline(time.Now().Add(watchPatience)), s.SetProtocol(ping.ID), s.Scope().SetService(ping.ServiceName)); err != nil {
		return err
	}
	var out, back [ping.PingSize]byte
	_, _ = rand.Read(out[:])
	rw := msmux.NewMSSelect(s, ping.ID) // one round trip for both
	if _, err := rw.Write(out[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(rw, back[:]); err != nil {
		return err
	}
	if !bytes.Equal(out[:], back[:]) {
		return errors.New("other bytes came back")
	}
	return nil
}
