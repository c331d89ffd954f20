//go:build linux

package netlab

import (
	"fmt"
	"net/netip"
	"strings"
)

// NAT is what a router does to what passes it, in the words of RFC 4787. With IPv6 only Open differs from the others, which are
// firewalls then: only what answers comes in.
type NAT int

// The kinds of NAT.
const (
	// Open forwards everything, both ways, and translates nothing. Its private addresses are reachable with IPv6 only.
	Open NAT = iota
	// EndpointIndependent has endpoint-independent mapping: one inside address and port keeps one outside port, whoever
	// it talks to. Its filtering is address-and-port-dependent: only those come in to whom something went out. This is
	// the usual home router ("port-restricted cone"): Linux's masquerade, which preserves the port while it is free.
	EndpointIndependent
	// FullCone has endpoint-independent mapping and, for UDP, endpoint-independent filtering: whoever sends to the outside port
	// of a mapping comes in, for two minutes after the last packet out. TCP is as with EndpointIndependent.
	FullCone
	// AddressAndPortDependent has address-and-port-dependent mapping and filtering ("symmetric"): each destination sees
	// another, random port. Hole punching fails between two of them.
	AddressAndPortDependent
)

// String returns the kind in words.
func (n NAT) String() string {
	return [...]string{"open", "endpoint-independent", "full cone", "address-and-port-dependent"}[n]
}

// The interfaces of a router.
const wan = "wan"

// Router joins a private segment to another segment.
type Router struct {
	// LAN is the segment behind the router.
	LAN *Segment

	space *space
	up    *Segment
}

// Router makes a router between a segment, often the public one, and a new private segment.
func (l *Lab) Router(name string, up *Segment, kind NAT) *Router {
	l.t.Helper()
	l.lans++
	prefix4 := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(l.lans), 0}), 24)
	prefix6 := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x26, 0, 0, 1, 0, 0, 0, byte(l.lans)}), 64)
	r := &Router{space: l.newSpace(name, true), up: up}
	up.plug(r.space, wan)
	v4, v6 := up.take()
	r.space.ip(append(up.configure(wan, v4, v6), up.defaults(wan)...)...)
	r.LAN = newSegment(r.space, prefix4, prefix6)
	r.LAN.router = r
	if l.v6 { // everybody above must know the way down
		for below, above := v6, up; ; below, above = above.router.wan6(), above.router.up {
			above.space.ip(fmt.Sprintf("route add %s via %s", prefix6, below))
			if above.router == nil {
				break
			}
		}
	}
	r.translate(kind)
	return r
}

func (r *Router) wan6() (addr netip.Addr) {
	r.space.lab.must(r.space.do(func() (err error) { addr, err = addressOf(wan, true); return err }))
	return addr
}

// translate installs a kind of NAT. What comes in unasked is dropped without a word: an answer would end the other side's
// attempt, and a packet that reached the router itself would take the port that a mapping is about to need.
func (r *Router) translate(kind NAT) {
	if kind == Open {
		return
	}
	r.space.nft("inet", "firewall", `
		chain input {
			type filter hook input priority filter
			iifname "wan" meta l4proto { tcp, udp } ct state != { established, related } drop
		}
		chain forward {
			type filter hook forward priority filter
			iifname "wan" ct status dnat accept
			iifname "wan" ct state != { established, related } drop
		}`)
	if !r.space.lab.v4 {
		return
	}
	masquerade, cone := "masquerade", ""
	switch kind {
	case AddressAndPortDependent:
		masquerade = "masquerade fully-random"
	case FullCone:
		cone = `
		map mappings {
			type inet_service : ipv4_addr . inet_service
			flags dynamic, timeout
			timeout 120s
			size 4096
		}
		chain learn {
			type filter hook postrouting priority mangle
			oifname "wan" meta l4proto udp update @mappings { udp sport : ip saddr . udp sport }
		}
		chain enter {
			type nat hook prerouting priority dstnat
			iifname "wan" meta l4proto udp dnat ip to udp dport map @mappings
		}`
	}
	r.space.nft("ip", "nat", fmt.Sprintf(`
		chain leave {
			type nat hook postrouting priority srcnat
			oifname "wan" %s
		}%s`, masquerade, cone))
}

// Block drops, in both directions, what matches one of nft's expressions, such as "meta l4proto udp". It replaces what
// was blocked before; without an expression nothing is. Connections that exist are cut too.
func (r *Router) Block(expressions ...string) {
	r.space.lab.t.Helper()
	rules := make([]string, len(expressions))
	for i, e := range expressions {
		rules[i] = e + " drop"
	}
	r.police(rules...)
}

// BlockUDP drops everything that is UDP.
func (r *Router) BlockUDP() { r.space.lab.t.Helper(); r.Block("meta l4proto udp") }

// AllowOnlyTCP drops everything that does not go to, or come from, one TCP port.
func (r *Router) AllowOnlyTCP(port int) {
	r.space.lab.t.Helper()
	r.police(fmt.Sprintf("tcp dport %d accept", port), fmt.Sprintf("tcp sport %d accept", port), "drop")
}

// police puts rules before those of the NAT.
func (r *Router) police(rules ...string) {
	r.space.lab.t.Helper()
	if len(rules) == 0 {
		r.space.nft("inet", "blocked", "")
		return
	}
	r.space.nft("inet", "blocked", fmt.Sprintf(`
		chain forward {
			type filter hook forward priority -10
			%s
		}`, strings.Join(rules, "\n\t\t\t")))
}

// Uplink limits what leaves the router for the segment above, in tc's words ("64kbit"), with a queue of one second; ""
// removes the limit.
func (r *Router) Uplink(rate string) {
	r.space.lab.t.Helper()
	if rate == "" {
		r.space.lab.must(r.space.lab.thread.command("", "tc", "-netns", r.space.name, "qdisc", "del", "dev", wan, "root"))
		return
	}
	r.space.lab.must(r.space.lab.thread.command("", "tc", "-netns", r.space.name, "qdisc", "replace", "dev", wan, "root", "tbf", "rate", rate, "burst", "3000", "latency", "1s"))
}
