package relaynode

import (
	"context"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/serve"
)

// store keeps batches that a member gives on its session stream, and publishes them on the topic: those that went
// through it already are published to nobody twice, because their ID is known there.
func (m *member) store(ctx context.Context, msg *wire.Store) serve.Verdict {
	n := m.n
	size := 0
	for _, data := range msg.Batches {
		size += len(data)
	}
	if !m.loop.Rates.Bring(ctx, size) {
		return serve.Verdict{Code: wire.RefusedLimit, Text: "too many bytes stored"}
	}
	reply := &wire.Stored{}
	var entries []backlog.Entry
	for _, data := range msg.Batches {
		// A batch on the session stream is verified whoever gives it: it is handed on under its signature alone.
		e, err := n.batches.Read(data)
		if err != nil {
			reply.Refused = append(reply.Refused, wire.RefusedBatch{ID: wire.BatchIDOf(data), Verdict: wire.VerdictMalformed})
			n.count.inc("store-refused: " + err.Error())
			continue
		}
		entries = append(entries, e)
		reply.IDs = append(reply.IDs, e.ID)
	}
	if err := n.batches.Append(ctx, entries, "session"); err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the backlog failed", Reason: err}
	}
	n.batches.publish(ctx, entries)
	return serve.Verdict{Reply: reply}
}

// fetch answers with batches that hold a range of counters.
func (m *member) fetch(ctx context.Context, msg *wire.Fetch) serve.Verdict {
	r, v := serve.Range(ctx, msg, m.loop.Rates)
	if v.Code != 0 {
		return v
	}
	batches, more, err := m.n.backlog.Fetch(ctx, r, serve.FetchBytes)
	if err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the backlog failed", Reason: err}
	}
	size := 0
	for _, b := range batches {
		size += len(b)
	}
	if !m.loop.Rates.Fetch(ctx, size) {
		return serve.Verdict{Code: wire.RefusedLimit, Text: "too many bytes fetched"}
	}
	return serve.Verdict{Reply: &wire.Fetched{Seq: msg.Seq, Batches: batches, More: more}}
}
