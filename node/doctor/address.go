package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"

	"conclave/overlay"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	ma "github.com/multiformats/go-multiaddr"
)

// addressCheck is what became of one address.
type addressCheck struct {
	addr ma.Multiaddr
	hop  Hop // where it ended; "" when it is connected
	what string
	hint string
}

func (t addressCheck) connected() bool { return t.hop == "" }

// address goes to one address of a relay node, hop by hop. The connection stays.
func (e *examination) address(ctx context.Context, relay peer.ID, addr ma.Multiaddr) addressCheck {
	t := addressCheck{addr: addr}
	transport, _ := peer.SplitAddr(addr)
	if transport == nil {
		t.hop, t.what, t.hint = Name, "the address "+addr.String()+" says nothing but a peer ID", "give the relay node's whole address; it prints it when it starts"
		return t
	}
	if !overlay.IsCircuit(transport) {
		if t = e.look(ctx, t, transport); !t.connected() {
			return t
		}
	}
	limited, cancel := context.WithTimeout(ctx, e.opts.Patience)
	defer cancel()
	_ = e.host.Network().ClosePeer(relay) // each address is tried by itself
	e.host.Peerstore().ClearAddrs(relay)
	if err := overlay.Connect(limited, e.host, peer.AddrInfo{ID: relay, Addrs: []ma.Multiaddr{transport}}); err != nil {
		return e.refused(t, relay, transport, err)
	}
	return t
}

// look resolves the name and knocks at the port.
func (e *examination) look(ctx context.Context, t addressCheck, transport ma.Multiaddr) addressCheck {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Patience)
	defer cancel()
	hostname, named := nameIn(transport)
	if named {
		if _, err := net.DefaultResolver.LookupIPAddr(ctx, hostname); err != nil {
			t.hop, t.what = Name, fmt.Sprintf("the name %s cannot be resolved: %s", hostname, plainly(err))
			t.hint = "check the name and this machine's network; an address with /ip4/ needs no name"
			return t
		}
	}
	port, err := transport.ValueForProtocol(ma.P_TCP)
	if err != nil {
		return t // UDP: only an answer shows that somebody is there
	}
	at := net.JoinHostPort(hostname, port)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err == nil {
		_ = conn.Close()
		return t
	}
	t.hop, t.what = Port, fmt.Sprintf("TCP port %s of %s does not answer: %s", port, hostname, plainly(err))
	t.hint = "check that the relay node runs and that the firewalls on the way let TCP port " + port + " through"
	if errors.Is(err, syscall.ECONNREFUSED) {
		t.what = fmt.Sprintf("nothing listens on TCP port %s of %s", port, hostname)
		t.hint = "check that the relay node runs and that the port is its own; it prints its addresses when it starts"
	}
	return t
}

// nameIn returns the host of an address, and whether it is a name.
func nameIn(a ma.Multiaddr) (hostname string, named bool) {
	for _, code := range []int{ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR} {
		if v, err := a.ValueForProtocol(code); err == nil {
			return v, true
		}
	}
	for _, code := range []int{ma.P_IP4, ma.P_IP6} {
		if v, err := a.ValueForProtocol(code); err == nil {
			return v, false
		}
	}
	return "", false
}

var remoteKey = regexp.MustCompile(`remote key matches (\S+)`)

// refused says why there is no connection although the port, as far as that shows, is open.
func (e *examination) refused(t addressCheck, relay peer.ID, transport ma.Multiaddr, err error) addressCheck {
	var mismatch sec.ErrPeerIDMismatch
	actual := ""
	if errors.As(err, &mismatch) {
		actual = mismatch.Actual.String()
	} else if m := remoteKey.FindStringSubmatch(err.Error()); m != nil {
		actual = m[1]
	}
	switch {
	case actual != "":
		t.hop, t.what = Identity, fmt.Sprintf("%s is %s, not %s as its address says", transport, strings.TrimRight(actual, ".,;"), relay)
		t.hint = "take the address from the relay node itself or from the newest roster; if it should be right, something else answers in its place"
	case isUDP(transport):
		t.hop, t.what = Transport, fmt.Sprintf("nothing answers over UDP at %s", transport)
		t.hint = "UDP is blocked on the way, or the relay node does not listen there: let the UDP port through, or use a TCP address"
	case overlay.IsCircuit(transport):
		t.hop, t.what = Transport, fmt.Sprintf("the relay node cannot be reached through %s: %s", transport, plainly(err))
		t.hint = "check the outer relay node, and that the inner one is connected to it"
	default:
		t.hop, t.what = Transport, fmt.Sprintf("something listens at %s, but no secure channel comes about: %s", transport, plainly(err))
		t.hint = "another program uses that port, or something on the way changes what is sent; try another address of the relay node"
	}
	return t
}

func isUDP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_UDP)
	return err == nil && !overlay.IsCircuit(a)
}

// plainly is the last part of an error's text, on one line: what happened, without where.
func plainly(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Err
	}
	lines := strings.Fields(err.Error())
	text := strings.Join(lines, " ")
	if i := strings.LastIndex(text, ": "); i >= 0 && len(text)-i < 120 {
		return text[i+2:]
	}
	return text[:min(len(text), 200)]
}
