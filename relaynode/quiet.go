package relaynode

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// watchQuiet takes members off the list of those who are present while nothing comes from them. Their sessions go on, for
// longer: over a slow line what a member says may be long on its way. A list that is wrong for a while harms nobody, a
// session that is ended has to be begun again.
func (n *Node) watchQuiet(ctx context.Context) error {
	ticker := time.NewTicker(min(n.cfg.Limits.Quiet/4, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if n.lookQuiet(now) {
				n.presence.ring()
			}
		}
	}
}

// lookQuiet reports whether somebody fell silent or was heard again.
func (n *Node) lookQuiet(now time.Time) (changed bool) {
	for _, m := range n.table.all() {
		quiet := now.Sub(m.conn.Heard()) > n.cfg.Limits.Quiet
		if m.quiet.Swap(quiet) != quiet {
			n.log.Info("member heard", "role", m.role, "silent", quiet)
			n.forwarder.wake(m.peer) // it may have gone to another relay node
			changed = true
		}
	}
	return changed
}

// heard reports whether a peer has a session and was heard lately.
func (t *table) heard(p peer.ID) bool {
	m := t.get(p)
	return m != nil && !m.quiet.Load()
}

// present returns the peers that have a session and were heard lately, sorted.
func (t *table) present() []peer.ID {
	return slices.DeleteFunc(t.peers(), func(p peer.ID) bool { return !t.heard(p) })
}
