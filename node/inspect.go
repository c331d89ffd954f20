package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"conclave/node/delivery"
	"conclave/node/keyagreement/event"
	"conclave/node/papers"
	"conclave/node/uplink"
	"conclave/overlay"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Epoch is what a debug window may show of an epoch. No share and no key is in it.
type Epoch = event.EpochView

// EpochPart is one contributor's part of an Epoch.
type EpochPart = event.PartView

// Inspection is how things stand, with the technical detail that a debug window shows. It holds no secret.
type Inspection struct {
	At
	Who          Who
	Peer         peer.ID
	GroupID      wire.GroupID
	Topic        string
	RosterHash   wire.RosterHash
	RosterIssued time.Time
	Certificates []CertificateView // the CA's first, this member's second, then the other members' and the relay nodes'
	Connections  []Connection
	Links        []LinkView
	Epochs       []Epoch // oldest first
	Using        wire.Transcript
	Outbox       OutboxView
	TopicPeers   []peer.ID
	TopicDrops   map[string]uint64
}

// CertificateView is a certificate and what checking it found.
type CertificateView = papers.View

// Check is one rule that a certificate was checked against.
type Check = papers.Check

// Connection is one libp2p connection.
type Connection struct {
	Peer    peer.ID
	Role    wire.Role // empty when the roster does not know the peer
	Relay   bool      // the other side is a relay node
	Circuit bool      // it runs through a relay node
	Inbound bool
	Detail  string
	Since   time.Time
}

// LinkView is one relay node and how far the link to it is.
type LinkView struct {
	Relay         peer.ID
	Name          wire.Role
	State         LinkState
	Reason        string
	Main          bool // requests go to this one
	Database      string
	RosterVersion uint64        // that the relay node had at the handshake
	RoundTrip     time.Duration // 0: not measured yet
	Addrs         []string
}

// OutboxView is what is on its way.
type OutboxView = delivery.Counts

// Inspect returns how things stand in detail.
func (n *Node) Inspect(ctx context.Context) (Inspection, error) {
	var in Inspection
	var roster *pki.Roster
	err := n.call(ctx, func(e *engine) {
		in = Inspection{
			At: e.at(), Who: e.who(), Peer: n.self.Peer, GroupID: e.cfg.Group.ID, Topic: n.topicName, RosterHash: e.roster.Hash,
			RosterIssued: e.roster.Issued, Links: e.linkViews(), Epochs: e.machine.Inspect(),
			Outbox: e.delivery.Counts(),
		}
		if e.sessions.using != nil {
			in.Using = e.sessions.using.about.Transcript
		}
		roster = e.roster
	})
	if err != nil {
		return in, err
	}
	in.Connections = n.connections(roster)
	in.TopicPeers, in.TopicDrops = n.topic.Peers(), n.topic.Drops()
	in.Certificates = papers.Look(n.cfg.Group, roster, n.self.Peer, in.Time)
	return in, nil
}

// Role returns this member's role.
func (n *Node) Role() wire.Role { return n.self.Role }

// Retry gives everything that no relay node has acknowledged to the relay node now, without waiting for its time.
func (n *Node) Retry(ctx context.Context) error {
	return n.call(ctx, func(e *engine) { e.deliver(delivery.Hurry{}) })
}

// connections returns the open connections, relay nodes' first.
func (n *Node) connections(roster *pki.Roster) []Connection {
	var list []Connection
	for _, c := range n.host.Network().Conns() {
		stat := c.Stat()
		conn := Connection{
			Peer: c.RemotePeer(), Circuit: overlay.IsCircuit(c.RemoteMultiaddr()), Inbound: stat.Direction.String() == "Inbound",
			Detail: uplink.Describe(c), Since: stat.Opened,
		}
		if m, _, ok := roster.MemberByPeer(conn.Peer); ok {
			conn.Role = m.Role
		} else if r, ok := roster.Relay(conn.Peer); ok {
			conn.Role, conn.Relay = r.Role, true
		}
		list = append(list, conn)
	}
	slices.SortFunc(list, func(a, b Connection) int {
		if a.Relay != b.Relay {
			return map[bool]int{true: -1, false: 1}[a.Relay]
		}
		return strings.Compare(string(a.Role)+string(a.Peer)+a.Detail, string(b.Role)+string(b.Peer)+b.Detail)
	})
	return list
}
