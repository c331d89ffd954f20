package lan

import (
	"net"
	"net/netip"
	"slices"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Link is one of the machine's network interfaces, and the machine's addresses on it.
type Link struct {
	Interface net.Interface
	Prefixes  []netip.Prefix // the machine's address and how much of it names the network
}

// Links returns the interfaces that are up and carry multicast, loopback among them: on it the members of one machine
// find each other.
func Links() ([]Link, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []Link
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&(net.FlagMulticast|net.FlagLoopback) == 0 {
			continue
		}
		if l := (Link{Interface: i, Prefixes: prefixes(i)}); len(l.Prefixes) > 0 {
			links = append(links, l)
		}
	}
	return links, nil
}

// prefixes returns an interface's addresses, without those that need its name to be dialled.
func prefixes(i net.Interface) []netip.Prefix {
	addrs, err := i.Addrs()
	if err != nil {
		return nil // it has gone
	}
	var out []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		ip = ip.Unmap()
		ones, bits := n.Mask.Size()
		if ip.Is4() && bits == 128 {
			ones -= 96
		}
		if p, err := ip.Prefix(ones); !ok || err != nil || !p.IsValid() || ip.Is6() && ip.IsLinkLocalUnicast() {
			continue
		}
		out = append(out, netip.PrefixFrom(ip, ones))
	}
	return out
}

// only returns what Links does of the named interfaces.
func only(names []string) func() ([]Link, error) {
	return func() ([]Link, error) {
		links, err := Links()
		return slices.DeleteFunc(links, func(l Link) bool { return !slices.Contains(names, l.Interface.Name) }), err
	}
}

// Only returns a source of links for Config.Links that knows the named interfaces and no others. Without a name it is
// Links.
func Only(names ...string) func() ([]Link, error) {
	if len(names) == 0 {
		return Links
	}
	return only(names)
}

// same reports whether nothing has changed between two lists of links.
func same(a, b []Link) bool {
	return slices.EqualFunc(a, b, func(x, y Link) bool {
		return x.Interface.Index == y.Interface.Index && slices.Equal(x.Prefixes, y.Prefixes)
	})
}

// holds reports whether an address is on the link, so that dialling it goes no further than that.
func (l Link) holds(ip netip.Addr) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Masked().Contains(ip) })
}

// here returns where a host that listens on those addresses is reached on the link.
func (l Link) here(listen []ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range listen {
		ip, rest, ok := split(a)
		if !ok {
			continue
		}
		for _, p := range l.Prefixes {
			own := p.Addr()
			if ip == own || ip.IsUnspecified() && ip.Is4() == own.Is4() {
				out = append(out, join(own, rest))
			}
		}
	}
	return out
}

// split takes an address apart: the IP address, and what follows. It takes plain TCP and QUIC only.
func split(a ma.Multiaddr) (ip netip.Addr, rest ma.Multiaddr, ok bool) {
	if len(a) < 2 {
		return ip, nil, false
	}
	for _, c := range a[1:] {
		switch c.Protocol().Code {
		case ma.P_TCP, ma.P_UDP, ma.P_QUIC_V1:
		default:
			return ip, nil, false
		}
	}
	raw, err := manet.ToIP(a[:1])
	if err != nil {
		return ip, nil, false
	}
	ip, ok = netip.AddrFromSlice(raw)
	return ip.Unmap(), a[1:], ok
}

func join(ip netip.Addr, rest ma.Multiaddr) ma.Multiaddr {
	family := "/ip4/"
	if ip.Is6() {
		family = "/ip6/"
	}
	return ma.StringCast(family + ip.String()).Encapsulate(rest)
}
