package simlab

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// socket is a net.PacketConn on the simulated network.
type socket struct {
	site     *site
	local    netip.AddrPort
	wildcard bool // it was opened for every address of the host, and follows it
	inbox    chan packet
	closed   chan struct{}
	once     sync.Once

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed and replaced when the deadline moves
}

var _ net.PacketConn = (*socket)(nil)

// take puts a packet into the inbox, or drops it when there is no room.
func (c *socket) take(p packet) {
	select {
	case c.inbox <- p:
	default:
	}
}

// ReadFrom implements net.PacketConn.
func (c *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		c.mu.Lock()
		deadline, moved := c.deadline, c.moved
		c.mu.Unlock()
		var over <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			over = timer.C
		}
		select {
		case p := <-c.inbox:
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		case <-c.closed:
			return 0, nil, net.ErrClosed
		case <-over:
			return 0, nil, os.ErrDeadlineExceeded
		case <-moved:
		}
	}
}

// WriteTo implements net.PacketConn.
func (c *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	at := to.(*net.UDPAddr).AddrPort()
	c.site.w.send(c.site, c.source(), netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), b)
	return len(b), nil
}

// source is where packets come from: the address that the host has now, for a socket that is bound to none, as a kernel
// does it.
func (c *socket) source() netip.AddrPort {
	w := c.site.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.wildcard && c.local.Addr() != c.site.addr {
		c.local = netip.AddrPortFrom(c.site.addr, c.local.Port())
		w.at[c.local] = c
	}
	return c.local
}

// Close implements net.PacketConn.
func (c *socket) Close() error {
	c.once.Do(func() {
		close(c.closed)
		w := c.site.w
		w.set(func() {
			if w.at[c.local] == c {
				delete(w.at, c.local)
			}
		})
	})
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *socket) LocalAddr() net.Addr {
	w := c.site.w
	w.mu.Lock()
	defer w.mu.Unlock()
	return net.UDPAddrFromAddrPort(c.local)
}

// SetDeadline implements net.PacketConn.
func (c *socket) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *socket) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	close(c.moved)
	c.moved = make(chan struct{})
	return nil
}

// SetWriteDeadline implements net.PacketConn.
func (c *socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer keep quic-go from complaining about small buffers.
func (c *socket) SetReadBuffer(int) error  { return nil }
func (c *socket) SetWriteBuffer(int) error { return nil }
