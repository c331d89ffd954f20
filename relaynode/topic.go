package relaynode

import (
	"context"
	"errors"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"

	"github.com/libp2p/go-libp2p/core/peer"
)

// validate decides whether pubsub hands a batch on. It runs inline, one batch after the other, so it must be quick.
func (n *Node) validate(from peer.ID, data []byte) bool {
	if n.cfg.defences.noTopicCheck || from == n.host.ID() {
		return true // our own are verified before they are published
	}
	_, err := n.readBatch(from, data)
	if err != nil {
		n.refused(from, "publish", err.Error())
	}
	return err == nil
}

// receiveTopic takes batches off the topic and queues them for the backlog. A batch that finds the queue full is dropped
// here only: the members have it, and its sender, who gets no acknowledgement, stores it again.
func (n *Node) receiveTopic(ctx context.Context) error {
	for {
		msg, err := n.topic.Receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		e, err := n.readBatch(msg.From, msg.Data)
		if err != nil {
			continue // its sender left the roster since it was validated
		}
		select {
		case n.appends <- e:
		default:
			n.count.inc(dropAppendQueue)
		}
	}
}

// maxAppend is how many batches one transaction takes. Arbitrary: enough that under load the disk is not the limit.
const maxAppend = 256

// appendTopic is the one appender of the topic's batches: everything that waits goes into one transaction.
func (n *Node) appendTopic(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-n.appends:
			n.appendGroup(ctx, n.gather(first))
		}
	}
}

func (n *Node) gather(first backlog.Entry) []backlog.Entry {
	group := []backlog.Entry{first}
	for len(group) < maxAppend {
		select {
		case e := <-n.appends:
			group = append(group, e)
		default:
			return group
		}
	}
	return group
}

// appendGroup makes a group durable and then, and only then, acknowledges it to the senders.
func (n *Node) appendGroup(ctx context.Context, group []backlog.Entry) {
	if err := n.append(ctx, group, "topic"); err != nil {
		if !errors.Is(err, context.Canceled) {
			n.count.add(dropAppendFailed, len(group))
			n.log.Error("writing the backlog", "batches", len(group), "err", err)
		}
		return
	}
	ids := make(map[peer.ID][]wire.BatchID)
	size := make(map[peer.ID]int)
	for _, e := range group {
		ids[e.Signer] = append(ids[e.Signer], e.ID)
		size[e.Signer] += len(e.Data)
	}
	for p, own := range ids {
		if m := n.table.get(p); m != nil {
			n.count.add(dropStoredNotice, m.news.add(own))
		}
		n.bus.publish(BatchesStored{Time: n.cfg.Now(), From: n.rosters.role(p), Count: len(own), Bytes: size[p]})
	}
}
