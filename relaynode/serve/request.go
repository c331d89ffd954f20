package serve

import (
	"context"
	"fmt"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/door"
)

// FetchBytes is how many bytes of batches one answer carries at most: half a session message, so that one batch more
// than that, which is always given, fits too.
const FetchBytes = wire.MaxSessionMessage / 2

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

// Range returns what a fetch asks for. A verdict with a code says why not.
func Range(ctx context.Context, msg *wire.Fetch, of *door.Rates) (backlog.Range, Verdict) {
	if msg.From > msg.To {
		return backlog.Range{}, Verdict{Code: wire.RefusedMalformed, Text: "the range is empty"}
	}
	if !of.Fetch(ctx, 1) {
		return backlog.Range{}, Verdict{Code: wire.RefusedLimit, Text: "too many bytes fetched"}
	}
	signer, err := wire.PeerIDOf(msg.Signer[:])
	if err != nil {
		return backlog.Range{}, Verdict{Code: wire.RefusedMalformed, Text: "that is no signer"}
	}
	chain := backlog.Chain{Prefix: msg.Prefix, Sender: msg.Sender, Start: msg.Start, Signer: signer}
	return backlog.Range{Chain: chain, From: msg.From, To: msg.To}, Verdict{}
}
