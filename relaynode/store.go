package relaynode

import (
	"context"
	"errors"
	"slices"

	"conclave/overlay/batch"
	"conclave/overlay/wire"
	"conclave/relaynode/backlog"

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
	if n.cfg.defences.noBatchCheck {
		return backlog.Entry{ID: wire.BatchIDOf(data), Signer: from, Data: data}, nil
	}
	b, err := wire.ParseBatch(data)
	if err != nil {
		return backlog.Entry{}, errBatchForm
	}
	sender, ok := n.roster.Load().MemberByIdentity(b.Sender)
	if !ok {
		return backlog.Entry{}, errBatchStranger
	}
	var frames []wire.FrameHeader
	if b.Kind == wire.BatchFrames {
		if frames, err = b.FrameHeaders(); err != nil {
			return backlog.Entry{}, errBatchForm
		}
	}
	if from != sender.Peer {
		if _, err := batch.Verify(n.topicName, data); err != nil {
			return backlog.Entry{}, errBatchForged
		}
	}
	return backlog.Entry{ID: wire.BatchIDOf(data), Signer: sender.Peer, Data: data, Frames: frames}, nil
}

// store keeps batches that a member gives on its session stream, and publishes them on the topic: those that went
// through it already are published to nobody twice, because their ID is known there.
func (m *member) store(ctx context.Context, msg *wire.Store) verdict {
	n := m.n
	size := 0
	for _, data := range msg.Batches {
		size += len(data)
	}
	if !m.rates.Bring(ctx, size) {
		return verdict{code: wire.RefusedLimit, text: "too many bytes stored"}
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
		return verdict{code: wire.RefusedFailed, text: "the backlog failed", reason: err}
	}
	n.publish(ctx, entries)
	return verdict{reply: reply}
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
		n.heads.changed()
		n.headsBell.Ring()
	}
	for i, isNew := range added {
		if isNew {
			n.sawBatch(entries[i], way)
		}
	}
	return nil
}

// fetchBytes is how many bytes of batches one answer carries at most: half a session message, so that one batch more
// than that, which is always given, fits too.
const fetchBytes = wire.MaxSessionMessage / 2

// fetch answers with batches that hold a range of counters.
func (m *member) fetch(ctx context.Context, msg *wire.Fetch) verdict {
	r, v := rangeOf(ctx, msg, m.rates)
	if v.code != 0 {
		return v
	}
	batches, more, err := m.n.backlog.Fetch(ctx, r, fetchBytes)
	if err != nil {
		return verdict{code: wire.RefusedFailed, text: "the backlog failed", reason: err}
	}
	size := 0
	for _, b := range batches {
		size += len(b)
	}
	if !m.rates.Fetch(ctx, size) {
		return verdict{code: wire.RefusedLimit, text: "too many bytes fetched"}
	}
	return verdict{reply: &wire.Fetched{Seq: msg.Seq, Batches: batches, More: more}}
}
