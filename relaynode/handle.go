package relaynode

import (
	"context"
	"fmt"

	"conclave/overlay/wire"
)

// verdict is what a handler found: what to reply, or why not. Handlers neither reply nor log nor count.
type verdict struct {
	reply  wire.Message     // nil: nothing to say
	code   wire.RefusalCode // not 0: refused, and reply is nil
	text   string           // for the peer, with code
	reason error            // for the log only, with code
}

// handle does what a message asks for.
func (m *member) handle(ctx context.Context, msg wire.Message) verdict {
	switch msg := msg.(type) {
	case *wire.Deposit:
		return m.deposit(ctx, msg)
	case *wire.DeliveryAck:
		return m.acknowledge(ctx, msg)
	case *wire.Store:
		return m.store(ctx, msg)
	case *wire.Fetch:
		return m.fetch(ctx, msg)
	case *wire.RosterUpdate:
		return m.n.offeredRoster(msg, string(m.role))
	case *wire.Ping:
		return verdict{reply: &wire.Pong{Nonce: msg.Nonce}}
	case *wire.Pong, *wire.Refusal:
		return verdict{}
	}
	return verdict{code: wire.RefusedMalformed, text: "not a request"}
}

// answer is the one place that replies to a request, logs and counts it. It returns an error when the session ends.
func (m *member) answer(ctx context.Context, msg wire.Message, v verdict) error {
	if v.code == 0 {
		if v.reply == nil {
			return nil
		}
		return m.send(ctx, v.reply)
	}
	what := requestName(msg)
	m.n.count.inc(what + "-refused: " + v.code.String())
	m.n.log.Warn("request refused", "role", m.role, "what", what, "code", v.code, "text", v.text, "err", v.reason)
	return m.send(ctx, &wire.Refusal{Seq: seqOf(msg), Code: v.code, Text: v.text})
}

// seqOf returns the number that a refusal has to repeat.
func seqOf(msg wire.Message) uint64 {
	switch msg := msg.(type) {
	case *wire.Deposit:
		return msg.Seq
	case *wire.Fetch:
		return msg.Seq
	}
	return 0
}

// requestName names a message for counters and logs.
func requestName(msg wire.Message) string {
	switch msg.(type) {
	case *wire.Deposit:
		return "deposit"
	case *wire.DeliveryAck:
		return "acknowledgement"
	case *wire.Store:
		return "store"
	case *wire.Fetch:
		return "fetch"
	case *wire.RosterUpdate:
		return "roster"
	}
	return fmt.Sprintf("message 0x%02x", byte(msg.Type()))
}

// offeredRoster takes a newer roster from whoever has it. An older one is answered with the newer: that one needs it.
func (n *Node) offeredRoster(msg *wire.RosterUpdate, from string) verdict {
	err := n.takeRoster(msg.Envelope, from)
	if err == nil {
		return verdict{}
	}
	if isOlder(err) {
		return verdict{reply: &wire.RosterUpdate{Envelope: n.roster.Load().Envelope}}
	}
	return verdict{code: wire.RefusedMalformed, text: "that roster is not acceptable", reason: err}
}
