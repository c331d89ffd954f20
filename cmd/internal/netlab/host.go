//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Host is a machine. Its processes run on, whatever happens to its network.
type Host struct {
	// Name is how the lab calls it.
	Name string

	space *space
	nics  []*nic // the first is the one it was made with
}

// nic is one network interface.
type nic struct {
	dev    string
	port   string // the other end, in the segment's namespace
	seg    *Segment
	v4, v6 netip.Addr
}

// Host makes a machine on a segment.
func (l *Lab) Host(name string, on *Segment) *Host {
	l.t.Helper()
	h := &Host{Name: name, space: l.newSpace(name, false)}
	h.Attach(on)
	h.DefaultVia(on)
	return h
}

// Attach gives the host a further interface, on another segment. The default route stays as it is.
func (h *Host) Attach(on *Segment) {
	h.space.lab.t.Helper()
	n := &nic{dev: fmt.Sprintf("eth%d", len(h.nics)), seg: on}
	h.nics = append(h.nics, n)
	n.v4, n.v6 = on.take()
	n.port = on.plug(h.space, n.dev)
	h.space.ip(on.configure(n.dev, n.v4, n.v6)...)
}

// DefaultVia makes the gateway of a segment that the host is on the one for everything. Connections that exist keep their
// addresses, and so lose their way back.
func (h *Host) DefaultVia(seg *Segment) {
	h.space.lab.t.Helper()
	n := h.on(seg)
	h.space.ip(seg.defaults(n.dev)...)
}

func (h *Host) on(seg *Segment) *nic {
	h.space.lab.t.Helper()
	i := slices.IndexFunc(h.nics, func(n *nic) bool { return n.seg == seg })
	if i < 0 {
		h.space.lab.t.Fatalf("netlab: %s is not on that segment", h.Name)
	}
	return h.nics[i]
}

// MoveTo takes the host's first interface away and gives it a new one on a segment: a laptop that is carried elsewhere.
func (h *Host) MoveTo(seg *Segment) {
	h.space.lab.t.Helper()
	n := h.nics[0]
	h.space.ip("link del " + n.dev)
	n.seg = seg
	n.v4, n.v6 = seg.take()
	n.port = seg.plug(h.space, n.dev)
	h.space.ip(append(seg.configure(n.dev, n.v4, n.v6), seg.defaults(n.dev)...)...)
}

// Readdress gives the host's first interface another address of its segment in place of the present one.
func (h *Host) Readdress() {
	h.space.lab.t.Helper()
	n := h.nics[0]
	h.space.ip("addr flush dev " + n.dev + " scope global")
	n.v4, n.v6 = n.seg.take()
	h.space.ip(append(n.seg.configure(n.dev, n.v4, n.v6), n.seg.defaults(n.dev)...)...)
}

// Unplug takes the link of the first interface down, as a pulled cable does: the host knows at once.
func (h *Host) Unplug() { h.space.lab.t.Helper(); h.space.ip("link set " + h.nics[0].dev + " down") }

// Plug undoes Unplug.
func (h *Host) Plug() {
	h.space.lab.t.Helper()
	n := h.nics[0]
	list := []string{"link set " + n.dev + " up"}
	if h.space.lab.v6 { // the kernel forgot it with the link
		list = append(list, fmt.Sprintf("addr replace %s/%d dev %s nodad", n.v6, n.seg.prefix6.Bits(), n.dev))
	}
	h.space.ip(append(list, n.seg.defaults(n.dev)...)...)
}

// Cut drops everything from and to the host, without a word: neither side is told.
func (h *Host) Cut() { h.space.lab.t.Helper(); h.link("drop") }

// Restore undoes Cut and Lose.
func (h *Host) Restore() { h.space.lab.t.Helper(); h.link("") }

// Lose drops each packet from and to the host with a probability of that many percent.
func (h *Host) Lose(percent int) {
	h.space.lab.t.Helper()
	h.link(fmt.Sprintf("numgen random mod 100 < %d drop", percent))
}

// link installs a rule at both ends of each of the host's interfaces, where packets arrive: the sender never learns.
func (h *Host) link(rule string) {
	h.space.lab.t.Helper()
	for i, n := range h.nics {
		filter(h.space, fmt.Sprintf("link%d", i), n.dev, rule)
		filter(n.seg.space, n.port, n.port, rule)
	}
}

func filter(s *space, table, dev, rule string) {
	s.lab.t.Helper()
	if rule != "" {
		rule = fmt.Sprintf("chain arriving {\ntype filter hook ingress device %q priority 0\n%s\n}", dev, rule)
	}
	s.nft("netdev", table, rule)
}

// Addr returns the host's address on the segment it was made on or moved to: IPv4 where the lab has it.
func (h *Host) Addr() netip.Addr {
	if h.space.lab.v4 {
		return h.nics[0].v4
	}
	return h.nics[0].v6
}

// IP returns the host's address as the beginning of a multiaddr, such as "/ip4/11.0.0.10".
func (h *Host) IP() string {
	if a := h.Addr(); a.Is6() {
		return "/ip6/" + a.String()
	}
	return "/ip4/" + h.Addr().String()
}

// Do runs f inside the host, on a thread of its own: a socket that f itself opens, not one of its goroutines, is there and stays
// there.
func (h *Host) Do(f func() error) error { return h.space.do(f) }

// IPCommand runs a command of ip, such as "route show", inside the host.
func (h *Host) IPCommand(command string) { h.space.lab.t.Helper(); h.space.ip(command) }

// addressOf returns the global address of an interface of the calling thread's namespace.
func addressOf(dev string, v6 bool) (netip.Addr, error) {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return netip.Addr{}, err
	}
	addrs, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is6() == v6 && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New(strings.TrimSpace(dev + " has no such address"))
}
