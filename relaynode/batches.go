package relaynode

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"conclave/overlay/batch"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/backlog"
	"conclave/relaynode/news"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Why a batch is not accepted. The names are those of the counters.
var (
	errBatchForm     = errors.New(dropTopicMalform)
	errBatchForged   = errors.New(dropTopicForged)
	errBatchStranger = errors.New(dropTopicStranger)
)

// batches takes in sealed batches, whichever way they come, and makes them durable in the backlog.
type batches struct {
	// static once the topic is there
	topicName string
	roster    func() *pki.Roster
	backlog   backlog.Store
	heads     *news.Heads
	sight     *observer // nil: nothing is kept for Held
	topic     *topic.Handle
	now       func() time.Time
	log       *slog.Logger
	count     *counters
	refused   func(p peer.ID, what, reason string)

	queue  chan *backlog.Entry                 // from the topic to the appender
	stored func(p peer.ID, ids []wire.BatchID) // called with what a signer gave to the topic and is durable now
}

// read returns the backlog's entry for a batch. from is the peer whose secure channel it came over: when that is the
// sender, the channel has proved more than the signature would, and verifying is skipped. From anybody else the signature
// decides. Every frame must have a header that parses.
func (b *batches) read(from peer.ID, data []byte) (backlog.Entry, error) {
	parsed, err := wire.ParseBatch(data)
	if err != nil {
		return backlog.Entry{}, errBatchForm
	}
	sender, ok := b.roster().MemberByIdentity(parsed.Sender)
	if !ok { // defence: batch-stranger
		return backlog.Entry{}, errBatchStranger
	}
	var frames []wire.FrameHeader
	if parsed.Kind == wire.BatchFrames {
		if frames, err = parsed.FrameHeaders(); err != nil {
			return backlog.Entry{}, errBatchForm
		}
	}
	if from != sender.Peer { // defence: batch-signature
		if _, err := batch.Verify(b.topicName, data); err != nil {
			return backlog.Entry{}, errBatchForged
		}
	}
	return backlog.Entry{ID: wire.BatchIDOf(data), Signer: sender.Peer, Data: data, Frames: frames}, nil
}

// Read implements peers.Batches: whoever gives a batch, the signature decides.
func (b *batches) Read(data []byte) (backlog.Entry, error) { return b.read("", data) }

// Append makes batches durable in the backlog. way is how they came.
func (b *batches) Append(ctx context.Context, entries []backlog.Entry, way string) error {
	if len(entries) == 0 {
		return nil
	}
	added, err := b.backlog.Append(ctx, entries, b.now())
	if err != nil {
		return err
	}
	if slices.Contains(added, true) {
		b.heads.Changed()
	}
	for i, isNew := range added {
		if isNew {
			b.sight.batch(entries[i], way)
		}
	}
	return nil
}

// publish hands stored batches to whoever is in the topic. Whoever is not will see them in the backlog's heads.
func (b *batches) publish(ctx context.Context, entries []backlog.Entry) {
	for _, e := range entries {
		if err := b.topic.PublishNow(ctx, e.Data); err != nil {
			b.log.Debug("publishing a stored batch", "err", err)
			return
		}
	}
}
