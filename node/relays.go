package node

import (
	"context"

	"conclave/node/courier"
	"conclave/node/delivery"
	"conclave/node/keyagreement/event"
	"conclave/node/uplink"
	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// newUplink returns the connections to the relay nodes, which begin once Run begins.
func newUplink(n *Node, routes map[peer.ID]ma.Multiaddr) *uplink.Uplink {
	t := n.cfg.Timing
	return uplink.New(uplink.Config{
		Group: n.cfg.Group, Certificate: n.cfg.Certificate, Identity: n.cfg.Identity, Nonces: session.NewNonceCache(),
		Roster: n.roster.Load, TakeRoster: n.takeRoster, Verify: n.verify,
		Relays: n.cfg.Relays, LAN: n.cfg.LAN != nil, Routes: routes,
		TopicHeard: n.heard.at, InFlight: func() int { return int(n.inFlight.Load()) }, Simulated: n.cfg.ListenUDP != nil,
		Timing: uplink.Timing{
			RedialMin: t.RedialMin, RedialMax: t.RedialMax, DialShort: t.DialShort, DialTimeout: t.DialTimeout,
			ProbeEvery: t.ProbeEvery, ProbeQuick: t.ProbeQuick, ProbeTimeout: t.ProbeTimeout,
		},
		Now: n.cfg.Now, Log: n.cfg.Log, Sink: uplinkSink{n},
	})
}

// uplinkSink leaves what the uplink tells in the engine's queue.
type uplinkSink struct{ n *Node }

// Changed implements uplink.Sink.
func (s uplinkSink) Changed(ctx context.Context, c uplink.Change) {
	s.n.post(ctx, func(e *engine) { e.relayChanged(c) })
}

// Received implements uplink.Sink.
func (s uplinkSink) Received(ctx context.Context, m uplink.Message) bool {
	return s.n.post(ctx, func(e *engine) { e.relaySays(m) })
}

// Reached implements uplink.Sink.
func (s uplinkSink) Reached(ctx context.Context, relay peer.ID, by ma.Multiaddr) {
	s.n.post(ctx, func(e *engine) {
		e.ledger.Change().Mark(uplink.RouteRecord(relay, by))
		e.ledger.Soon()
	})
}

// Skewed implements uplink.Sink.
func (s uplinkSink) Skewed(ctx context.Context, skew *session.SkewError) {
	s.n.post(ctx, func(e *engine) {
		e.publish(Problem{
			At: e.at(), Text: skew.Error(), Hint: "compare this machine's clock with another one and set the one that is wrong",
		})
	})
}

// Step implements uplink.Sink.
func (s uplinkSink) Step(relay peer.ID, step uplink.Step, detail string) {
	s.n.hub.Publish(LinkStep{At: At{s.n.cfg.Now()}, Relay: relay, Step: step, Detail: detail})
}

// relayChanged takes in how far the connection to a relay node is, and what that means for the other parts.
func (e *engine) relayChanged(c uplink.Change) {
	relay := e.relays.Of(c.Relay)
	wasMain := e.relays.Main() == relay
	if !e.relays.Apply(c) {
		return
	}
	e.cfg.Log.Debug("link", "relay", c.Relay, "state", c.State, "reason", c.Reason)
	e.publish(Link{At: e.at(), Relay: c.Relay, State: c.State, Reason: c.Reason})
	switch c.State {
	case uplink.Ready:
		e.reach.Renew()
		e.chooseRelay()
		e.sourcesAre()
	case uplink.Down:
		e.reach.HintGone(c.Relay)
		if wasMain {
			e.mainDown()
		}
		e.sourcesAre()
	}
}

// mainDown goes on with another relay node, if there is one.
func (e *engine) mainDown() {
	e.courier.RelayDown()
	e.step(event.RelayDown{})
	if !e.chooseRelay() {
		e.keep.Down()
		e.reach.RelayDown()
	}
}

// chooseRelay has requests sent to a relay node that is ready, if there is none for them. It reports whether it found one.
func (e *engine) chooseRelay() bool {
	relay, newDatabase := e.relays.Choose()
	if relay == nil {
		return false
	}
	e.deliver(delivery.RelayUp{NewDatabase: newDatabase})
	e.keep.Up(newDatabase)
	e.step(event.RelayUp{Database: relay.Conn().Database()})
	e.reach.RelayUp()
	return true
}

// relaySays takes in what a relay node says. Batches in it are verified.
func (e *engine) relaySays(m uplink.Message) {
	relay := e.relays.Of(m.Relay)
	switch msg := m.Message.(type) {
	case *wire.Presence:
		e.reach.Hint(m.Relay, msg.Online)
	case *wire.Delivery:
		mails := make([]courier.Mail, len(m.Mails))
		for i, mail := range m.Mails {
			mails[i] = courier.Mail(mail)
		}
		e.courier.Delivered(mails, relay.Acknowledge)
	case *wire.DepositResult:
		if relay == e.relays.Main() {
			e.courier.Deposited(msg)
		}
	case *wire.Stored:
		for _, id := range msg.IDs {
			e.keep.Stored(id)
		}
		for _, r := range msg.Refused {
			e.keep.Refused(r)
		}
		e.deliver(delivery.Stored{IDs: msg.IDs, Refused: msg.Refused})
	case *wire.Heads:
		e.deliver(delivery.Heads{Peer: string(m.Relay), List: msg.Heads, Full: msg.Full})
	case *wire.Fetched:
		e.fetched(m.Relay, msg.Seq, m.Batches, msg.More)
	case *wire.Refusal:
		e.relayRefuses(relay, msg)
	}
}

func (e *engine) relayRefuses(relay *uplink.Relay, m *wire.Refusal) {
	e.cfg.Log.Warn("the relay node refuses a request", "relay", relay.ID, "code", m.Code, "text", m.Text)
	if m.Code == wire.RefusedReplaced {
		e.publish(Problem{
			At: e.at(), Text: "another process uses this member's identity", Hint: "stop one of the two",
		})
	}
	if m.Seq == 0 {
		return
	}
	if relay == e.relays.Main() {
		e.courier.Refused(m.Seq)
	}
	e.deliver(delivery.FetchRefused{Source: string(relay.ID), Seq: m.Seq})
}

// linkList returns the relay nodes for a Who.
func (e *engine) linkList() []Link {
	var out []Link
	for _, r := range e.relays.All() {
		state, why := r.State()
		out = append(out, Link{At: e.at(), Relay: r.ID, State: state, Reason: why})
	}
	return out
}

// linkViews returns the relay nodes in detail.
func (e *engine) linkViews() []LinkView {
	all := e.relays.All()
	views := make([]LinkView, 0, len(all))
	for _, r := range all {
		view := LinkView{Relay: r.ID, Main: r == e.relays.Main()}
		view.State, view.Reason = r.State()
		if known, ok := e.roster.Relay(r.ID); ok {
			view.Name = known.Role
		}
		if conn := r.Conn(); conn != nil {
			view.Database, view.RosterVersion, view.RoundTrip = conn.Database().String(), conn.RemoteRosterVersion(), conn.RTT()
		}
		for _, a := range e.relays.Addresses(r) {
			view.Addrs = append(view.Addrs, a.String())
		}
		views = append(views, view)
	}
	return views
}

// addAddresses makes a member dialable over the relay nodes that this member is connected to. Of one with whom no direct
// connection is wanted the other addresses are forgotten, which identify told over an earlier circuit: otherwise the shares of
// a large group would leave everybody connected to everybody.
func (e *engine) addAddresses(to peer.ID) {
	if e.reach.Enough(to) {
		e.n.host.Peerstore().ClearAddrs(to)
	}
	for _, r := range e.relays.All() {
		if r.Conn() == nil {
			continue
		}
		for _, a := range e.relays.Addresses(r) {
			if c, err := overlay.CircuitAddr(a); err == nil {
				e.n.host.Peerstore().AddAddr(to, c, peerstore.TempAddrTTL)
			}
		}
	}
}
