package overlay

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

var loopbackWS = ma.StringCast("/ip4/127.0.0.1/tcp/0/ws")

func listening(addrs ...ma.Multiaddr) func(*HostConfig) {
	return func(c *HostConfig) { c.Listen = addrs }
}

// oneOf returns the address of h that is a WebSocket, or the one that is raw TCP.
func oneOf(t *testing.T, h host.Host, webSocket bool) ma.Multiaddr {
	t.Helper()
	for _, a := range h.Addrs() {
		if IsWebSocket(a) == webSocket {
			return a
		}
	}
	t.Fatalf("no such address among %v", h.Addrs())
	return nil
}

// TestOnePortForTCPAndWebSocket: raw TCP and WebSocket come in at one port, and each is what it says.
func TestOnePortForTCPAndWebSocket(t *testing.T) {
	t.Parallel()
	server := newHost(t, listening(loopbackTCP, loopbackWS))
	HandleStream(server, "/echo", StreamLimits{Service: "echo"}, echo, quiet())
	raw, ws := oneOf(t, server, false), oneOf(t, server, true)
	if !withWebSocket(raw).Equal(ws) {
		t.Fatalf("listens on %s and %s, want one port", raw, ws)
	}
	for a, want := range map[string]string{raw.String(): "tcp", ws.String(): "websocket"} {
		client := newHost(t, dialOnly)
		if err := Connect(deadline(t, 60*time.Second), client, peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{ma.StringCast(a)}}); err != nil {
			t.Fatal(err)
		}
		if got := client.Network().ConnsToPeer(server.ID())[0].ConnState().Transport; got != want {
			t.Errorf("over %s: %s, want %s", a, got, want)
		}
		if got := ask(t, client, server.ID(), "hello"); got != "hello" {
			t.Fatalf("over %s: %q", a, got)
		}
	}
}

// middlebox forwards connections that begin as HTTP does and is silent to all others. It returns its address.
func middlebox(t *testing.T, to ma.Multiaddr) ma.Multiaddr {
	t.Helper()
	_, target, err := manet.DialArgs(to)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go forwardHTTP(c, target)
		}
	}()
	a, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func forwardHTTP(c net.Conn, target string) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil || string(head) != "GET " {
		return
	}
	out, err := net.Dial("tcp", target)
	if err != nil {
		c.Close()
		return
	}
	defer out.Close()
	_, _ = out.Write(head)
	go func() { _, _ = io.Copy(out, c); out.Close() }()
	_, _ = io.Copy(c, out)
	c.Close()
}

// TestRaceFallsBackToWebSocket: where a middlebox lets nothing but HTTP through, the WebSocket on the same port is
// found. The control is Connect, which the library keeps from dialling it.
func TestRaceFallsBackToWebSocket(t *testing.T) {
	t.Parallel()
	server := newHost(t, listening(loopbackTCP, loopbackWS))
	box := middlebox(t, oneOf(t, server, false))
	to := peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{box, withWebSocket(box)}}

	client := newHost(t, dialOnly)
	if err := Connect(deadline(t, 2*webSocketDelay), client, to); err == nil {
		t.Fatal("control: Connect came through, so the test shows nothing")
	}
	client = newHost(t, dialOnly)
	by, err := Race(deadline(t, 60*time.Second), client, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !by.Equal(to.Addrs[1]) {
		t.Fatalf("came by %s, want %s", by, to.Addrs[1])
	}
	// Remembered, it goes first and needs not wait for the others to fail.
	client = newHost(t, dialOnly)
	by, err = Race(deadline(t, 60*time.Second), client, to, by)
	if err != nil {
		t.Fatal(err)
	}
	if !by.Equal(to.Addrs[1]) {
		t.Fatalf("remembered, it came by %s", by)
	}
}

// TestRaceRemembersAndForgets: the address that worked last is taken though another would win; when it does not answer
// any more, the others are tried after a short start.
func TestRaceRemembersAndForgets(t *testing.T) {
	t.Parallel()
	server := newHost(t, listening(loopbackTCP, loopbackQUIC))
	raw := server.Addrs()[slices.IndexFunc(server.Addrs(), isTCP)]
	quic := server.Addrs()[slices.IndexFunc(server.Addrs(), func(a ma.Multiaddr) bool { return !isTCP(a) })]
	silent := silentAddr(t)
	to := peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{raw, quic, silent}}
	for name, c := range map[string]struct {
		addrs       []ma.Multiaddr
		first, want ma.Multiaddr
	}{
		"the first wins":          {[]ma.Multiaddr{quic, silent}, quic, quic},
		"a silent one costs":      {[]ma.Multiaddr{raw, silent}, silent, raw},
		"an address that is gone": {[]ma.Multiaddr{raw}, quic, raw},
	} {
		client := newHost(t, dialOnly)
		by, err := Race(deadline(t, 60*time.Second), client, peer.AddrInfo{ID: to.ID, Addrs: c.addrs}, c.first)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !by.Equal(c.want) {
			t.Errorf("%s: came by %s, want %s", name, by, c.want)
		}
		if again, err := Race(deadline(t, time.Second), client, to, nil); err != nil || !again.Equal(c.want) {
			t.Errorf("%s: connected already: %v, %v", name, again, err)
		}
	}
}

func TestRaceReportsEveryFailure(t *testing.T) {
	t.Parallel()
	gone := newHost(t)
	addrs := gone.Addrs()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	client := newHost(t, dialOnly)
	_, err := Race(deadline(t, 60*time.Second), client, peer.AddrInfo{ID: gone.ID(), Addrs: append(addrs, withWebSocket(addrs[0]))}, addrs[0])
	if cause, ok := CauseOf(err); !ok || cause != CauseUnreachable {
		t.Fatalf("err = %v", err)
	}
	if _, err := Race(deadline(t, 60*time.Second), client, peer.AddrInfo{ID: gone.ID()}, nil); err == nil {
		t.Fatal("without an address: connected")
	} else if cause, _ := CauseOf(err); cause != CauseNoAddress {
		t.Fatalf("without an address: %v", err)
	}
}

// TestRaceResolvesNames: an address may name its host.
func TestRaceResolvesNames(t *testing.T) {
	t.Parallel()
	server := newHost(t, listening(loopbackTCP))
	port, err := server.Addrs()[0].ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	named := ma.StringCast("/dns4/localhost/tcp/" + port)
	by, err := Race(deadline(t, 60*time.Second), newHost(t, dialOnly), peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{named}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !by.Equal(named) {
		t.Fatalf("came by %v, want %s", by, named)
	}
}
