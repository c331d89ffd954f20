package relaynode

import (
	"context"
	"errors"
	"slices"

	"conclave/overlay/batch"
	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Why a batch is not accepted. The names are those of the counters.
var (
	errBatchForm     = errors.New(dropTopicMalform)
	errBatchForged   = errors.New(dropTopicForged)
	errBatchStranger = errors.New(dropTopicStranger)
)

// readBatch returns the backlog's entry for a batch. from is the peer whose secure channel it came over: when that is the
// sender, the channel has proved more than the signature would, and verifying is skipped. From anybody else the signature
// decides. Every frame must have a header that parses.
func (n *Node) readBatch(from peer.ID, data []byte) (backlog.Entry, error) {
	b, err := wire.ParseBatch(data)
	if err != nil {
		return backlog.Entry{}, errBatchForm
	}
	sender, ok := n.roster.Load().MemberByIdentity(b.Sender)
	if !ok { // defence: batch-stranger
		return backlog.Entry{}, errBatchStranger
	}
	var frames []wire.FrameHeader
	if b.Kind == wire.BatchFrames {
		if frames, err = b.FrameHeaders(); err != nil {
			return backlog.Entry{}, errBatchForm
		}
	}
	if from != sender.Peer { // defence: batch-signature
		if _, err := batch.Verify(n.topicName, data); err != nil {
			return backlog.Entry{}, errBatchForged
		}
	}
	return backlog.Entry{ID: wire.BatchIDOf(data), Signer: sender.Peer, Data: data, Frames: frames}, nil
}

// batches takes in what other relay nodes have: their word counts for nothing, the signature decides.
type batches struct{ n *Node }

// Read implements peers.Batches.
func (b batches) Read(data []byte) (backlog.Entry, error) { return b.n.readBatch("", data) }

// Append implements peers.Batches.
func (b batches) Append(ctx context.Context, entries []backlog.Entry, way string) error {
	return b.n.append(ctx, entries, way)
}

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
		e, err := n.readBatch("", data)
		if err != nil {
			reply.Refused = append(reply.Refused, wire.RefusedBatch{ID: wire.BatchIDOf(data), Verdict: wire.VerdictMalformed})
			n.count.inc("store-refused: " + err.Error())
			continue
		}
		entries = append(entries, e)
		reply.IDs = append(reply.IDs, e.ID)
	}
	if err := n.append(ctx, entries, "session"); err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the backlog failed", Reason: err}
	}
	n.publish(ctx, entries)
	return serve.Verdict{Reply: reply}
}

// publish hands stored batches to whoever is in the topic. Whoever is not will see them in the backlog's heads.
func (n *Node) publish(ctx context.Context, entries []backlog.Entry) {
	for _, e := range entries {
		if err := n.topic.PublishNow(ctx, e.Data); err != nil {
			n.log.Debug("publishing a stored batch", "err", err)
			return
		}
	}
}

// append makes batches durable in the backlog. way is how they came.
func (n *Node) append(ctx context.Context, entries []backlog.Entry, way string) error {
	if len(entries) == 0 {
		return nil
	}
	added, err := n.backlog.Append(ctx, entries, n.cfg.Now())
	if err != nil {
		return err
	}
	if slices.Contains(added, true) {
		n.source.Heads.Changed()
	}
	for i, isNew := range added {
		if isNew {
			n.sawBatch(entries[i], way)
		}
	}
	return nil
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
