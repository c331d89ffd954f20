package relaynode

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/backlog"
	"conclave/relaynode/door"
	"conclave/relaynode/mailbox"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Status is what a relay node knows about itself at one moment.
type Status struct {
	Peer          peer.ID
	Group         wire.GroupID
	GroupName     string
	Database      wire.DatabaseID
	RosterVersion uint64
	RosterExpires time.Time
	Members       []MemberStatus // in role order
	Relays        []RelayStatus  // the group's other relay nodes, in name order
	Started       time.Time
	Connections   int // peers connected, strangers included
	TopicPeers    int // peers in the topic
	Mailbox       mailbox.Stats
	Backlog       backlog.Stats
	Circuits      CircuitStats
	Counts        map[string]uint64 // drops, refusals and closed connections, by name
}

// CircuitStats say what the circuit relay does. What goes through a circuit is an encrypted connection between two
// members: the relay node knows its ends and how much there was, and keeps none of it.
type CircuitStats = door.CircuitStats

// MemberStatus is a member of the roster and how far it has come: connected, in session, in the topic, reachable.
type MemberStatus struct {
	Role      wire.Role
	Peer      peer.ID
	Connected []string  // remote addresses of its connections; none: it is not connected
	Online    bool      // it has completed the handshake and was heard lately
	Since     time.Time // of the session
	InTopic   bool
	Reserved  bool // others can reach it over a circuit
	Circuits  int  // ends of circuits that it holds now
}

// RelayStatus is another relay node of the roster.
type RelayStatus struct {
	Name      wire.Role
	Peer      peer.ID
	Connected []string // remote addresses of its connections
	Linked    bool     // there is a session with it
	Since     time.Time
	Members   []wire.Role // who is there, as it says
}

// Status returns what the relay node knows about itself.
func (n *Node) Status(ctx context.Context) (Status, error) {
	roster := n.roster.Load()
	s := Status{
		Peer: n.host.ID(), Group: n.cfg.Group.ID, GroupName: n.cfg.Group.Name, Database: n.database,
		RosterVersion: roster.Version, RosterExpires: roster.Expires,
		Connections: len(n.host.Network().Peers()), TopicPeers: len(n.topic.Peers()), Counts: n.count.snapshot(),
		Started: n.started, Circuits: n.door.Circuits(),
	}
	for name, count := range n.topic.Drops() {
		s.Counts["topic: "+name] = count
	}
	inTopic := n.topic.Peers()
	for _, m := range roster.Members {
		status := MemberStatus{Role: m.Role, Peer: m.Peer}
		n.follow(&status, inTopic)
		s.Members = append(s.Members, status)
	}
	s.Relays = n.otherRelays(roster)
	var err error
	if s.Mailbox, err = n.mail.Stats(ctx); err != nil {
		return s, fmt.Errorf("reading the mailbox: %w", err)
	}
	if s.Backlog, err = n.backlog.Stats(ctx); err != nil {
		return s, fmt.Errorf("reading the backlog: %w", err)
	}
	return s, nil
}

// follow fills in how far a member has come.
func (n *Node) follow(s *MemberStatus, inTopic []peer.ID) {
	if current := n.table.get(s.Peer); current != nil {
		s.Online, s.Since = !current.quiet.Load(), current.since
	}
	conns := n.host.Network().ConnsToPeer(s.Peer)
	for _, c := range conns {
		s.Connected = append(s.Connected, c.RemoteMultiaddr().String())
	}
	s.InTopic = slices.Contains(inTopic, s.Peer)
	s.Reserved, s.Circuits = n.door.Reserved(s.Peer), door.CircuitEnds(conns)
}

// otherRelays tells how it stands with the other relay nodes.
func (n *Node) otherRelays(roster *pki.Roster) []RelayStatus {
	var all []RelayStatus
	for _, r := range roster.Relays {
		if r.Peer == n.host.ID() {
			continue
		}
		s := RelayStatus{Name: r.Role, Peer: r.Peer}
		for _, c := range n.host.Network().ConnsToPeer(r.Peer) {
			s.Connected = append(s.Connected, c.RemoteMultiaddr().String())
		}
		if l, ok := n.peers.Link(r.Peer); ok {
			s.Linked, s.Since = true, l.Since
			for _, m := range l.Members {
				s.Members = append(s.Members, n.roleOf(m))
			}
			slices.Sort(s.Members)
		}
		all = append(all, s)
	}
	return all
}

// Held returns the latest batches and mails that the relay node took in, oldest first, those only whose number is above
// after. It returns none unless Config.Inspect asked for it.
func (n *Node) Held(after uint64) []Held { return n.sight.after(after) }

// Peer returns the relay node's peer ID.
func (n *Node) Peer() peer.ID { return n.host.ID() }

// Addrs returns the relay node's addresses, each ending in /p2p/<its ID>, those first that most others can reach: what
// the configuration announces, then those through another relay node, then public addresses, then private ones, then loopback; IPv4 before IPv6, TCP before QUIC
// before WebSocket.
func (n *Node) Addrs() []ma.Multiaddr {
	listening, err := n.host.Network().InterfaceListenAddresses()
	if err != nil {
		listening = n.host.Network().ListenAddresses()
	}
	listening = slices.DeleteFunc(slices.Clone(listening), overlay.IsCircuit)
	slices.SortStableFunc(listening, func(a, b ma.Multiaddr) int { return cmp.Compare(reach(a), reach(b)) })
	var all []ma.Multiaddr
	for _, a := range slices.Concat(n.cfg.Announce, n.viaAddrs(), listening) {
		if full := n.complete(a); !slices.ContainsFunc(all, full.Equal) {
			all = append(all, full)
		}
	}
	return all
}

// viaAddrs returns the addresses through other relay nodes.
func (n *Node) viaAddrs() []ma.Multiaddr {
	var all []ma.Multiaddr
	for _, a := range n.cfg.Via {
		if c, err := overlay.CircuitAddr(a); err == nil {
			all = append(all, c)
		}
	}
	return all
}

// complete appends /p2p/<ID> unless the address ends in it.
func (n *Node) complete(a ma.Multiaddr) ma.Multiaddr {
	if _, last := peer.SplitAddr(a); last == n.host.ID() {
		return a
	}
	own, err := ma.NewComponent("p2p", n.host.ID().String())
	if err != nil {
		return a // cannot be: the host's own ID is one
	}
	return a.AppendComponent(own)
}

// reach is how few others can reach an address, and behind that how gladly we are reached so.
func reach(a ma.Multiaddr) int {
	rank := 8
	switch {
	case manet.IsIPLoopback(a):
		rank = 24
	case manet.IsIP6LinkLocal(a):
		rank = 16
	case manet.IsPublicAddr(a):
		rank = 0
	}
	if _, err := a.ValueForProtocol(ma.P_IP6); err == nil {
		rank += 4
	}
	if _, err := a.ValueForProtocol(ma.P_UDP); err == nil {
		rank++
	}
	if overlay.IsWebSocket(a) {
		rank += 2
	}
	return rank
}
