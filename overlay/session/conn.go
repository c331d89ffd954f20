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
	ping          time.Duration
	done          chan struct{} // closed when the connection has ended and nothing is written any more
	born          time.Time     // the pings' clock: monotonic
	idle          *time.Timer   // offers a ping when nothing was written for a while

	reader *bufio.Reader // owned by Receive; it reads from pulse
	pulse  *pulse

	mu       sync.Mutex // guards the following
	pending  []byte     // encoded messages, in order
	messages int        // how many
	room     chan struct{}
	writing  bool  // the writer runs
	finished bool  // done is closed
	closing  bool  // no more sends; the connection ends when pending is written
	err      error // why it ended

	rtt atomic.Int64
}

// What is accepted after the handshake, by whom it comes from.
var (
	fromMember = []wire.MessageType{
		wire.TypeRefusal, wire.TypeRosterUpdate, wire.TypeDeposit, wire.TypeDeliveryAck, wire.TypeStore, wire.TypeFetch,
		wire.TypePing, wire.TypePong,
	}
	fromRelay = []wire.MessageType{
		wire.TypeRefusal, wire.TypeRosterUpdate, wire.TypePresence, wire.TypeDepositResult, wire.TypeDelivery,
		wire.TypeStored, wire.TypeHeads, wire.TypeFetched, wire.TypePing, wire.TypePong,
	}
	betweenRelays = []wire.MessageType{
		wire.TypeRefusal, wire.TypeRosterUpdate, wire.TypePresence, wire.TypeForward, wire.TypeCollected, wire.TypeHeads,
		wire.TypeFetch, wire.TypeCopied, wire.TypePing, wire.TypePong,
	}
)

// connection ends the handshake: the stream has no deadline any more but the connection's own.
func (h *handshake) connection(cert *pki.Certificate, rosterVersion uint64, database wire.DatabaseID) (*Conn, error) {
	if err := h.stream.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	c := &Conn{
		stream: h.stream, local: h.local, remote: h.remote, cert: cert, database: database, rosterVersion: rosterVersion,
		accept: fromMember, ping: h.Ping, reader: h.reader, pulse: h.pulse,
		done: make(chan struct{}), room: make(chan struct{}), born: time.Now(),
	}
	c.pulse.begin(h.Silence)
	switch {
	case h.Peering:
		c.accept = betweenRelays
	case cert.Kind == pki.KindRelay:
		c.accept = fromRelay
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = time.AfterFunc(c.ping, func() { _ = c.Probe() }) // a full queue needs no ping
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

// Err returns why the connection ended, nil while it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Heard returns when anything last arrived, which may be a part of a message.
func (c *Conn) Heard() time.Time { return c.pulse.last() }

// Unheard returns how many bytes were written since anything arrived: what may still be on its way over a slow line.
func (c *Conn) Unheard() int { return int(c.pulse.unheard.Load()) }

// Probe asks the other side to answer. Whether it does shows in Heard.
func (c *Conn) Probe() error {
	return c.Offer(&wire.Ping{Nonce: uint64(time.Since(c.born))})
}

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
	if c.pending == nil {
		c.pending = buffers.Get().([]byte)
	}
	c.pending = append(c.pending, b...)
	c.messages++
	c.wake()
	return nil, nil
}

// wake starts the writer unless it runs or the connection has ended. The caller holds mu.
func (c *Conn) wake() {
	if c.writing || c.finished {
		return
	}
	c.writing = true
	go c.write()
}

// write owns the stream's writing side while there is something to write, and ends the connection when that is wanted: an
// idle connection has no goroutine and no buffer for writing. Everything that is pending goes out in one Write: each
// Write costs an AEAD record and a system call. Close and Abort wait for it through done.
func (c *Conn) write() {
	for {
		batch, last := c.take()
		if batch == nil {
			return
		}
		err := c.writeAll(batch, last)
		if cap(batch) <= keptBuffer {
			//lint:ignore SA6002 one small allocation for each Write is nothing beside its system call
			buffers.Put(batch[:0])
		}
		if err != nil {
			c.fail(err)
			c.mu.Lock()
			c.finish()
			c.mu.Unlock()
			return
		}
		c.idle.Reset(c.ping)
	}
}

// writeAll writes a batch in one Write, or in several when it is so large that on a slow line it may take longer than the
// time that a Write has.
func (c *Conn) writeAll(batch []byte, last bool) error {
	timeout := writeTimeout
	if last {
		timeout = closeTimeout
	}
	c.pulse.unheard.Add(int64(len(batch)))
	for len(batch) > 0 {
		part := batch[:min(len(batch), writeBytes)]
		_ = c.stream.SetWriteDeadline(time.Now().Add(timeout))
		if _, err := c.stream.Write(part); err != nil {
			return err
		}
		batch = batch[len(part):]
	}
	return nil
}

// buffers are what writers write from. They are shared so that idle connections hold none.
var buffers = sync.Pool{New: func() any { return []byte(nil) }}

// take returns what is pending, or nil when the writer has to end. last says that nothing will follow.
func (c *Conn) take() (batch []byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.messages == 0 {
		c.writing = false
		if c.closing {
			c.finish()
		}
		return nil, true
	}
	batch, last = c.pending, c.closing
	c.pending, c.messages = nil, 0
	close(c.room)
	c.room = make(chan struct{})
	return batch, last
}

// finish says that the connection has ended. The caller holds mu.
func (c *Conn) finish() {
	if c.finished {
		return
	}
	c.finished = true
	c.idle.Stop()
	close(c.done)
}

// Receive returns the next message. It answers pings, computes the ID of every delivered mail, and returns ErrSilent
// when nothing came for too long. After an error the connection is over.
func (c *Conn) Receive() (wire.Message, error) {
	for {
		m, err := c.next()
		if err != nil {
			c.unread(err)
			return nil, c.ended()
		}
		if !c.own(m) {
			return m, nil
		}
	}
}

// own does what a message means for the connection itself, and reports whether that is all there is to it.
func (c *Conn) own(m wire.Message) bool {
	switch m := m.(type) {
	case *wire.Ping:
		_ = c.Offer(&wire.Pong{Nonce: m.Nonce}) // a peer that fills our queue is not silent
		return true
	case *wire.Pong:
		c.rtt.Store(max(1, int64(time.Since(c.born))-int64(m.Nonce)))
		return true
	case *wire.Delivery:
		for i := range m.Mails {
			mail := &m.Mails[i]
			mail.ID = wire.MailIDOf(mail.From, c.local, mail.Kind, mail.Payload)
		}
	}
	return false
}

func (c *Conn) next() (wire.Message, error) {
	m, err := wire.ReadMessage(c.reader, c.accept...)
	if err != nil {
		return nil, silence(err)
	}
	return m, nil
}

// silence returns ErrSilent for a read that timed out, any other error as it is.
func silence(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ErrSilent
	}
	return err
}

// unread ends the connection because nothing can be read from it, unless Close is about to end it: a reset, which fail makes of
// the end, takes away what the other side has not read yet.
func (c *Conn) unread(err error) {
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if !closing {
		c.fail(err)
	}
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
