package session

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	ma "github.com/multiformats/go-multiaddr"
)

// base is what every clock shows unless a test says otherwise.
var base = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a group with members A, B and two relay nodes.
type world struct {
	t testing.TB
	*pkitest.Group
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{t, pkitest.New(t, pkitest.Config{Roles: nil, Relays: 2})}
}

// side is a node: its host and what it brings to a handshake.
type side struct {
	host host.Host
	cfg  Config
}

func (w *world) side(identity ed25519.PrivateKey, cert *pki.Certificate) *side {
	w.t.Helper()
	h, err := overlay.NewHost(overlay.HostConfig{
		Identity: identity, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	roster := w.Roster
	return &side{h, Config{
		Group: w.Group.Group, Cert: cert.DER, Identity: identity, Roster: func() *pki.Roster { return roster },
		Now: func() time.Time { return base }, Nonces: NewNonceCache(), Log: slog.New(slog.DiscardHandler),
	}}
}

func (w *world) member(role string) *side {
	m := w.Member(role)
	return w.side(m.Identity, m.Cert)
}

func (w *world) outsider() *side {
	id := pkitest.NewIdentity(w.t)
	m := w.Member("A")
	return w.side(id, m.Cert)
}

func (w *world) relay(i int) *side {
	var r *keystore.Relay = w.Relay(i)
	s := w.side(r.Identity, r.Cert)
	s.cfg.Database = [16]byte{0xdb}
	return s
}

type result struct {
	conn *Conn
	err  error
}

// serve accepts sessions and returns what became of each.
func (w *world) serve(s *side) <-chan result {
	results := make(chan result, 256)
	s.host.SetStreamHandler(overlay.SessionProtocol, func(stream network.Stream) {
		c, err := Accept(context.Background(), stream, s.cfg)
		if c != nil {
			w.t.Cleanup(c.Abort)
		}
		results <- result{c, err}
	})
	return results
}

// dial opens a session stream.
func (w *world) dial(from, to *side) network.Stream {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := overlay.Connect(ctx, from.host, peer.AddrInfo{ID: to.host.ID(), Addrs: to.host.Addrs()}); err != nil {
		w.t.Fatal(err)
	}
	s, err := overlay.OpenStream(ctx, from.host, to.host.ID(), overlay.SessionProtocol)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Reset() })
	return s
}

// initiate runs a member's side and returns what became of it on both.
func (w *world) initiate(from, to *side, results <-chan result) (member, relay result) {
	w.t.Helper()
	c, err := Initiate(context.Background(), w.dial(from, to), from.cfg)
	if c != nil {
		w.t.Cleanup(c.Abort)
	}
	return result{c, err}, w.wait(results)
}

func (w *world) wait(results <-chan result) result {
	w.t.Helper()
	select {
	case r := <-results:
		return r
	case <-time.After(20 * time.Second):
		w.t.Fatal("the relay node's handshake did not end")
		return result{}
	}
}

// pair returns both ends of an established session.
func (w *world) pair(change ...func(*Config)) (member, relay *Conn) {
	w.t.Helper()
	a, r := w.member("A"), w.relay(0)
	for _, c := range change {
		c(&a.cfg)
		c(&r.cfg)
	}
	m, n := w.initiate(a, r, w.serve(r))
	if m.err != nil || n.err != nil {
		w.t.Fatalf("handshake: %v, %v", m.err, n.err)
	}
	return m.conn, n.conn
}

// recorder keeps what is written to a stream.
type recorder struct {
	network.Stream
	mu      sync.Mutex // guards written
	written bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.written.Write(b)
	r.mu.Unlock()
	return r.Stream.Write(b)
}

// record runs a whole handshake and returns every byte that the member sent.
func (w *world) record(from, to *side, results <-chan result) []byte {
	w.t.Helper()
	r := &recorder{Stream: w.dial(from, to)}
	c, err := Initiate(context.Background(), r, from.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Abort)
	if got := w.wait(results); got.err != nil {
		w.t.Fatal(got.err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.written.Bytes())
}

// replay sends recorded bytes on a new stream and returns what the relay node makes of them.
func (w *world) replay(from, to *side, recorded []byte, results <-chan result) result {
	w.t.Helper()
	s := w.dial(from, to)
	if _, err := s.Write(recorded); err != nil {
		w.t.Fatal(err)
	}
	go io.Copy(io.Discard, s)
	return w.wait(results)
}

// greet says a hello and nothing more, and returns whether the relay node replies to it and what it makes of that.
func (w *world) greet(from, to *side, hello []byte, results <-chan result) (replied bool, got result) {
	w.t.Helper()
	s := w.dial(from, to)
	if _, err := s.Write(hello); err != nil {
		w.t.Fatal(err)
	}
	m, err := wire.ReadMessage(bufio.NewReader(s), wire.TypeHelloReply, wire.TypeRefusal)
	_ = s.Reset()
	_, replied = m.(*wire.HelloReply)
	return err == nil && replied, w.wait(results)
}

// largeMessage is a store of half a megabyte, as it stands on the stream.
func largeMessage(t *testing.T) []byte {
	t.Helper()
	b, err := wire.AppendMessage(nil, &wire.Store{Batches: [][]byte{make([]byte, 200_000), make([]byte, 200_000)}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
