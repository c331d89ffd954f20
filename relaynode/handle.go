package relaynode

import (
	"context"

	"conclave/overlay/wire"
	"conclave/relaynode/serve"
)

// handle does what a message asks for.
func (m *member) handle(ctx context.Context, msg wire.Message) serve.Verdict {
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
		return serve.Verdict{Reply: &wire.Pong{Nonce: msg.Nonce}}
	case *wire.Pong, *wire.Refusal:
		return serve.Verdict{}
	}
	return serve.Verdict{Code: wire.RefusedMalformed, Text: "not a request"}
}

// refusedRequest counts and logs a request that is refused.
func (m *member) refusedRequest(what string, v serve.Verdict) {
	m.n.count.inc(what + "-refused: " + v.Code.String())
	m.n.log.Warn("request refused", "role", m.role, "what", what, "code", v.Code, "text", v.Text, "err", v.Reason)
}

// tooSlow counts a session whose peer does not read.
func (m *member) tooSlow() error {
	m.n.count.inc(closeSlow)
	return errTooSlow
}
