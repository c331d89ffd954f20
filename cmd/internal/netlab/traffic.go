//go:build linux

package netlab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
)

// Traffic is how many packets a host exchanged with another, by kind.
type Traffic struct{ TCP, UDP uint64 }

// CountTraffic begins to count what the host exchanges with an address, of which Traffic tells.
func (h *Host) CountTraffic(with netip.Addr) {
	h.space.lab.t.Helper()
	family := "ip"
	if with.Is6() {
		family = "ip6"
	}
	rules := ""
	for _, proto := range []string{"tcp", "udp"} {
		rules += fmt.Sprintf("%s saddr %s meta l4proto %s counter name over_%[3]s\n", family, with, proto)
	}
	h.space.nft("inet", "traffic", fmt.Sprintf("counter over_tcp {}\ncounter over_udp {}\nchain in {\ntype filter hook input priority -20\n%s}", rules))
}

// Traffic returns what was counted since CountTraffic: packets that arrived.
func (h *Host) Traffic() (count Traffic) {
	h.space.lab.t.Helper()
	var out []byte
	h.space.lab.must(h.space.do(func() (err error) {
		out, err = exec.Command("nft", "-j", "list", "counters", "table", "inet", "traffic").Output()
		return err
	}))
	var list struct {
		Nftables []struct {
			Counter struct {
				Name    string
				Packets uint64
			}
		}
	}
	h.space.lab.must(json.Unmarshal(out, &list))
	for _, one := range list.Nftables {
		switch one.Counter.Name {
		case "over_tcp":
			count.TCP = one.Counter.Packets
		case "over_udp":
			count.UDP = one.Counter.Packets
		}
	}
	return count
}
