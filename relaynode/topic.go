package relaynode

import (
	"context"
	"errors"
	"time"

	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/relaynode/backlog"

	"github.com/libp2p/go-libp2p/core/peer"
)

// validate decides whether pubsub hands a batch on. It runs on pubsub's event loop, so it must be quick.
func (b *batches) validate(from peer.ID, data []byte) (any, bool) {
	e, err := b.read(from, data)
	if err != nil { // defence: topic-check
		b.refused(from, "publish", err.Error())
		return nil, false
	}
	return &e, true
}

// deliver queues a batch off the topic for the backlog. A batch that finds the queue full is dropped here only: the
// members have it, and its sender, who gets no acknowledgement, stores it again.
func (b *batches) deliver(m topic.Message) bool {
	e, ok := m.Read.(*backlog.Entry)
	if !ok || e.Data == nil {
		return true // validate gives nothing else
	}
	select {
	case b.queue <- e:
		return true
	default:
		b.count.inc(dropAppendQueue)
		return false
	}
}

// maxAppend is how many batches one transaction takes. Arbitrary: enough that under load the disk is not the limit.
const maxAppend = 256

// restMin and restEach, for each member, are how long a batch waits for others that go into its transaction. Meanwhile it is
// handed on, which is what people wait for; the transaction would take a core from it. Arbitrary: a few times what handing
// on takes.
const (
	restMin  = 2 * time.Millisecond
	restEach = 200 * time.Microsecond
)

func (b *batches) rest() time.Duration {
	return max(restMin, restEach*time.Duration(len(b.roster().Members)))
}

// run is the one appender of the topic's batches: everything that waits goes into one transaction.
func (b *batches) run(ctx context.Context) error {
	rest := time.NewTimer(restMin)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-b.queue:
			rest.Reset(b.rest())
			select {
			case <-rest.C:
			case <-ctx.Done():
				return nil
			}
			b.appendGroup(ctx, b.gather(first))
		}
	}
}

func (b *batches) gather(first *backlog.Entry) []backlog.Entry {
	group := []backlog.Entry{*first}
	for len(group) < maxAppend {
		select {
		case e := <-b.queue:
			group = append(group, *e)
		default:
			return group
		}
	}
	return group
}

// appendGroup makes a group durable and then, and only then, acknowledges it to the senders.
func (b *batches) appendGroup(ctx context.Context, group []backlog.Entry) {
	if err := b.Append(ctx, group, "topic"); err != nil {
		if !errors.Is(err, context.Canceled) {
			b.count.add(dropAppendFailed, len(group))
			b.log.Error("writing the backlog", "batches", len(group), "err", err)
		}
		return
	}
	ids := make(map[peer.ID][]wire.BatchID)
	for _, e := range group {
		ids[e.Signer] = append(ids[e.Signer], e.ID)
	}
	for p, own := range ids {
		b.stored(p, own)
	}
}
