//go:build linux

package netlab

import (
	"fmt"
	"net/netip"
)

// The public segment's addresses look public, so that hole punching takes them.
var (
	publicPrefix4 = netip.MustParsePrefix("11.0.0.0/16")
	publicPrefix6 = netip.MustParsePrefix("2600:1::/64")
)

// firstHost is the last byte of the first host's address on a segment. Below it are gateways.
const firstHost = 10

// bridge is the name of a segment's bridge in its namespace.
const bridge = "br0"

// bridgeMAC is every bridge's own hardware address. Without one it takes the lowest of its ports', which changes when a host
// leaves, and the others look for the gateway in vain for half a minute.
const bridgeMAC = "02:00:00:00:00:01"

// Segment is a network on which hosts and routers see each other, with a gateway on it that knows the way to all others.
// Multicast reaches everybody on it.
type Segment struct {
	space            *space // that of the gateway, which holds the bridge
	router           *Router
	prefix4, prefix6 netip.Prefix
	hosts            int
}

// newSegment makes a segment whose gateway is a namespace that forwards.
func newSegment(gateway *space, prefix4, prefix6 netip.Prefix) *Segment {
	s := &Segment{space: gateway, prefix4: prefix4, prefix6: prefix6}
	gateway.ip(append([]string{"link add " + bridge + " address " + bridgeMAC + " type bridge mcast_snooping 0 forward_delay 0"}, s.configure(bridge, s.gateway(prefix4), s.gateway(prefix6))...)...)
	return s
}

func (s *Segment) gateway(prefix netip.Prefix) netip.Addr { return prefix.Addr().Next() }

// take returns the addresses of the next host.
func (s *Segment) take() (v4, v6 netip.Addr) {
	s.hosts++
	n := firstHost + s.hosts - 1
	b4, b6 := s.prefix4.Addr().As4(), s.prefix6.Addr().As16()
	b4[2], b4[3] = b4[2]+byte(n>>8), byte(n)
	b6[14], b6[15] = byte(n>>8), byte(n)
	return netip.AddrFrom4(b4), netip.AddrFrom16(b6)
}

// configure returns the commands that bring an interface up with its addresses, as far as the lab has the families.
func (s *Segment) configure(dev string, v4, v6 netip.Addr) []string {
	var list []string
	if s.space.lab.v4 {
		list = append(list, fmt.Sprintf("addr add %s/%d dev %s", v4, s.prefix4.Bits(), dev))
	}
	list = append(list, "link set "+dev+" up")
	if s.space.lab.v6 {
		list = append(list, fmt.Sprintf("addr add %s/%d dev %s nodad", v6, s.prefix6.Bits(), dev))
	}
	return list
}

// defaults returns the commands that lead everything else through the segment's gateway.
func (s *Segment) defaults(dev string) []string {
	var list []string
	if s.space.lab.v4 {
		list = append(list, fmt.Sprintf("route replace default via %s dev %s", s.gateway(s.prefix4), dev))
	}
	if s.space.lab.v6 {
		list = append(list, fmt.Sprintf("route replace default via %s dev %s", s.gateway(s.prefix6), dev))
	}
	return list
}

// plug connects a namespace with the segment by an interface of that name and returns the bridge's port.
func (s *Segment) plug(in *space, dev string) (port string) {
	l := s.space.lab
	l.ports++
	port = fmt.Sprintf("port%d", l.ports)
	in.ip(fmt.Sprintf("link add %s type veth peer name %s netns %s", dev, port, s.space.name))
	s.space.ip(fmt.Sprintf("link set %s master %s up", port, bridge))
	return port
}
