package relaynode

import (
	"context"

	"conclave/relaynode/news"
	"conclave/relaynode/pace"
)

// headsPatience is how many times Limits.Heads a report waits at most while the backlog goes on changing. Arbitrary: in the midst
// of a stream the next messages tell of most gaps, and each report is a message to everybody, which is in the way of those that
// people wait for.
const headsPatience = 4

// pushHeads tells the members and the other relay nodes that the backlog changed, in the next pause. It waits before it tells,
// not after: what has just been stored is on its way over the topic, and a member that is told too early fetches in vain.
func (n *Node) pushHeads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.source.Heads.Bell:
		}
		if !pace.Calm(ctx, n.source.Heads.Bell, n.cfg.Limits.Heads, headsPatience*n.cfg.Limits.Heads) {
			return nil
		}
		n.tellEverybody(news.Backlog)
	}
}

// pushPresence tells the members who is online, and the other relay nodes who is online here, the first change at once and
// further ones together.
func (n *Node) pushPresence(ctx context.Context) error {
	pace.Every(ctx, n.presence, n.cfg.Limits.Presence, func() { n.tellEverybody(news.Presence) })
	return nil
}
