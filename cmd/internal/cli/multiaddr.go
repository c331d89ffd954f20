package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"
)

// errAddr is returned for what is no address.
var errAddr = errors.New("it is neither HOST:PORT nor a multiaddr")

// Addr reads an address as people write it: a multiaddr, or HOST:PORT, which means TCP and QUIC on that host and port. HOST is
// a name, an IPv4 address or an IPv6 address in brackets. A peer ID may follow, as in a multiaddr: HOST:PORT/p2p/ID.
func Addr(text string) ([]ma.Multiaddr, error) {
	if strings.HasPrefix(text, "/") {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		return []ma.Multiaddr{a}, nil
	}
	where, rest, more := strings.Cut(text, "/")
	host, port, err := net.SplitHostPort(where)
	if err != nil || host == "" {
		return nil, errAddr
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("%q is no port", port)
	}
	if more {
		rest = "/" + rest
	}
	at := hostPart(host)
	var both []ma.Multiaddr
	for _, transport := range []string{"/tcp/" + port, "/udp/" + port + "/quic-v1"} {
		a, err := ma.NewMultiaddr(at + transport + rest)
		if err != nil {
			return nil, err
		}
		both = append(both, a)
	}
	return both, nil
}

// hostPart is the beginning of the multiaddr of a host. A zone, as in fe80::1%eth0, goes before the address.
func hostPart(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "/dns/" + host
	case ip.Is4():
		return "/ip4/" + ip.String()
	case ip.Zone() != "":
		return "/ip6zone/" + ip.Zone() + "/ip6/" + ip.WithZone("").String()
	}
	return "/ip6/" + ip.String()
}

// Multiaddrs reads the addresses that a flag names, each as Addr does. hint says what one looks like there.
func Multiaddrs(flag string, list []string, hint string) ([]ma.Multiaddr, error) {
	var all []ma.Multiaddr
	for _, s := range list {
		addrs, err := Addr(s)
		if err != nil {
			return nil, WithHint(Usagef("%s %q is not an address: %w", flag, s, err), hint)
		}
		all = append(all, addrs...)
	}
	return all, nil
}

// ExplainListen says of an error of listening which port it is and what to do about it. more ends the hint. Another error, or
// nil, is returned as it is.
func ExplainListen(err error, more string) error {
	at, ok := errors.AsType[interface {
		error
		ListenAddr() ma.Multiaddr
	}](err)
	if !ok {
		return err
	}
	switch host, port := hostAndPort(at.ListenAddr()); {
	case caused(err, syscall.EADDRINUSE):
		return WithHint(fmt.Errorf("%s of %s is taken by another program", port, host), "stop that program, or choose another port with --listen "+net.JoinHostPort(host, "PORT")+more)
	case caused(err, syscall.EADDRNOTAVAIL):
		return WithHint(fmt.Errorf("this machine does not have the address %s to listen on", host), "--listen 0.0.0.0:PORT takes all it has")
	case caused(err, syscall.EACCES):
		return WithHint(fmt.Errorf("%s of %s may not be used by this user", port, host), "ports below 1024 are the administrator's: choose another with --listen "+net.JoinHostPort(host, "PORT")+more)
	case host == "":
		return WithHint(err, "only an IP address can be listened on: --listen 0.0.0.0:PORT takes all that this machine has")
	}
	return err
}

// hostAndPort returns the IP address of an address, or "", and what its port is called.
func hostAndPort(a ma.Multiaddr) (host, port string) {
	for _, code := range []int{ma.P_IP4, ma.P_IP6} {
		if v, err := a.ValueForProtocol(code); err == nil {
			host = v
		}
	}
	if v, err := a.ValueForProtocol(ma.P_TCP); err == nil {
		return host, "TCP port " + v
	}
	v, _ := a.ValueForProtocol(ma.P_UDP)
	return host, "UDP port " + v
}

// caused reports whether an error of listening has that cause. Libp2p flattens such errors to text.
func caused(err error, cause syscall.Errno) bool {
	return errors.Is(err, cause) || strings.Contains(err.Error(), cause.Error())
}
