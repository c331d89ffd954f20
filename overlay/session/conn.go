package session

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Conn carries messages after a handshake. Send and Offer may be called by any number of goroutines, Receive by one at
// a time; somebody must call Receive, because it also answers pings and notices silence.
type Conn struct {
	// Static after construction.
	stream        network.Stream
	local, remote peer.ID
	cert          *pki.Certificate
	database      wire.DatabaseID
	rosterVersion uint64
	accept        []wire.MessageType
	ping, silence time.Duration
	kick          chan struct{} // holds one: there is something to write, or closing was set
	done          chan struct{} // closed when the writer has ended
	born          time.Time     // the pings' clock: monotonic

	reader *bufio.Reader // owned by Receive

	mu       sync.Mutex // guards the following
	pending  []byte     // encoded messages, in order
	messages int        // how many
	spare    []byte     // the writer's last buffer, for reuse
	room     chan struct{}
	closing  bool  // no more sends; the writer ends when pending is written
	err      error // why the connection ended

	rtt     atomic.Int64
	written atomic.Uint64 // messages
	writes  atomic.Uint64 // calls of Write
}

// What each side accepts after the handshake.
var (
	fromMember = []wire.MessageType{
		wire.TypeRefusal, wire.TypeRosterUpdate, wire.TypeDeposit, wire.TypeDeliveryAck, wire.TypeStore, wire.TypeFetch,
		wire.TypePing, wire.TypePong,
	}
	fromRelay = []wire.MessageType{
		wire.TypeRefusal, wire.TypeRosterUpdate, wire.TypePresence, wire.TypeDepositResult, wire.TypeDelivery,
		wire.TypeStored, wire.TypeHeads, wire.TypeFetched, wire.TypePing, wire.TypePong,
	}
)

// connection ends the handshake: the stream has no deadline any more but the connection's own.
func (h *handshake) connection(cert *pki.Certificate, rosterVersion uint64, database wire.DatabaseID) (*Conn, error) {
	if err := h.stream.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	c := &Conn{
		stream: h.stream, local: h.local, remote: h.remote, cert: cert, database: database, rosterVersion: rosterVersion,
		accept: fromMember, ping: h.Ping, silence: h.Silence, reader: h.reader,
		kick: make(chan struct{}, 1), done: make(chan struct{}), room: make(chan struct{}), born: time.Now(),
	}
	if cert.Kind == pki.KindRelay {
		c.accept = fromRelay
	}
	go c.write()
	return c, nil
}

// Peer returns the remote peer, as the secure channel proved it.
func (c *Conn) Peer() peer.ID { return c.remote }

// Remote returns the remote's verified certificate.
func (c *Conn) Remote() *pki.Certificate { return c.cert }

// Database returns the relay node's database, on both sides.
func (c *Conn) Database() wire.DatabaseID { return c.database }

// RemoteRosterVersion returns the version of the roster that the remote had at the handshake.
func (c *Conn) RemoteRosterVersion() uint64 { return c.rosterVersion }

// RTT returns the last measured round trip of a ping, 0 before the first.
func (c *Conn) RTT() time.Duration { return time.Duration(c.rtt.Load()) }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Written returns how many messages were written in how many writes.
func (c *Conn) Written() (messages, writes uint64) { return c.written.Load(), c.writes.Load() }

// Send queues a message, after waiting for room if need be. It returns before the message is written: what must arrive
// has an acknowledgement of its own.
func (c *Conn) Send(ctx context.Context, m wire.Message) error {
	b, err := wire.AppendMessage(nil, m)
	if err != nil {
		return err
	}
	for {
		room, err := c.enqueue(b)
		if !errors.Is(err, ErrQueueFull) {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return c.ended()
		}
	}
}

// Offer queues a message if there is room, and returns ErrQueueFull if there is not.
func (c *Conn) Offer(m wire.Message) error {
	b, err := wire.AppendMessage(nil, m)
	if err != nil {
		return err
	}
	_, err = c.enqueue(b)
	return err
}

// enqueue appends an encoded message. With ErrQueueFull it returns a channel that is closed when there is room.
func (c *Conn) enqueue(b []byte) (room <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil, c.err
	case c.closing:
		return nil, ErrClosed
	case c.messages > 0 && (c.messages >= sendQueueMessages || len(c.pending)+len(b) > sendQueueBytes):
		return c.room, ErrQueueFull
	}
	c.pending = append(c.pending, b...)
	c.messages++
	c.wake()
	return nil, nil
}

func (c *Conn) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// write owns the stream's writing side until the connection ends. Everything that is pending goes out in one Write:
// each Write costs an AEAD record and a system call.
func (c *Conn) write() {
	defer close(c.done)
	idle := time.NewTimer(c.ping)
	defer idle.Stop()
	for {
		select {
		case <-c.kick:
		case <-idle.C:
			_ = c.Offer(&wire.Ping{Nonce: uint64(time.Since(c.born))}) // a full queue needs no ping
		}
		idle.Reset(c.ping)
		batch, messages, last := c.take()
		if len(batch) > 0 {
			timeout := writeTimeout
			if last {
				timeout = closeTimeout
			}
			_ = c.stream.SetWriteDeadline(time.Now().Add(timeout))
			if _, err := c.stream.Write(batch); err != nil {
				c.fail(err)
				return
			}
			c.written.Add(uint64(messages))
			c.writes.Add(1)
		}
		if last {
			return
		}
	}
}

// take swaps the pending bytes for the writer's last buffer. last says that nothing will follow.
func (c *Conn) take() (batch []byte, messages int, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch, messages, last = c.pending, c.messages, c.closing
	c.pending, c.messages, c.spare = c.spare[:0], 0, batch
	if cap(c.pending) > keptBuffer {
		c.pending = nil // do not keep a burst's buffer for a connection's life
	}
	close(c.room)
	c.room = make(chan struct{})
	return batch, messages, last
}

// Receive returns the next message. It answers pings, computes the ID of every delivered mail, and returns ErrSilent
// when nothing came for too long. After an error the connection is over.
func (c *Conn) Receive() (wire.Message, error) {
	for {
		m, err := c.next()
		if err != nil {
			c.fail(err)
			return nil, c.ended()
		}
		switch m := m.(type) {
		case *wire.Ping:
			_ = c.Offer(&wire.Pong{Nonce: m.Nonce}) // a peer that fills our queue is not silent
			continue
		case *wire.Pong:
			c.rtt.Store(max(1, int64(time.Since(c.born))-int64(m.Nonce)))
			continue
		case *wire.Delivery:
			for i := range m.Mails {
				mail := &m.Mails[i]
				mail.ID = wire.MailIDOf(mail.From, c.local, mail.Kind, mail.Payload)
			}
		}
		return m, nil
	}
}

func (c *Conn) next() (wire.Message, error) {
	if c.reader.Buffered() == 0 {
		if err := c.stream.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
			return nil, err
		}
	}
	m, err := wire.ReadMessage(c.reader, c.accept...)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil, ErrSilent
	}
	return m, err
}

// fail ends the connection at once for a reason, if it has not ended before.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
		if c.closing {
			c.err = ErrClosed
		}
	}
	c.closing = true
	c.wake()
	c.mu.Unlock()
	if errors.Is(err, io.EOF) {
		_ = c.stream.Close()
		return
	}
	_ = c.stream.Reset()
}

func (c *Conn) ended() error {
	if err := c.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// Close lets what is queued be written, for at most two seconds, ends the connection on both sides and returns when
// its writer has ended.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	c.wake()
	c.mu.Unlock()
	if first {
		_ = c.stream.SetWriteDeadline(time.Now().Add(closeTimeout))
	}
	<-c.done
	c.mu.Lock()
	if c.err == nil {
		c.err = ErrClosed
	}
	c.mu.Unlock()
	_ = c.stream.SetReadDeadline(time.Now()) // wakes a Receive that waits
	return c.stream.Close()
}

// Abort ends the connection at once and drops what is queued.
func (c *Conn) Abort() {
	c.fail(ErrClosed)
	<-c.done
}
