package door

import (
	"context"
	"time"

	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// watch gives a connection its time. When that is over, its peer must be in the roster and have a session.
func (d *Door) watch(c network.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || c.IsClosed() {
		return
	}
	if old := d.timers[c]; old != nil {
		old.Stop()
	}
	d.timers[c] = time.AfterFunc(d.cfg.Limits.Admission, func() { d.judge(c) }) // defence: admission-timer
}

// WatchPeer gives every connection of a peer new time, when its session ended and the connections stayed.
func (d *Door) WatchPeer(p peer.ID) {
	for _, c := range d.network.ConnsToPeer(p) {
		d.watch(c)
	}
}

func (d *Door) forget(c network.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.timers[c]; t != nil {
		t.Stop()
		delete(d.timers, c)
	}
}

// judge closes the connection unless its peer is in the roster and has a session by now.
func (d *Door) judge(c network.Conn) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	delete(d.timers, c)
	d.busy.Add(1)
	d.mu.Unlock()
	defer d.busy.Done()

	p, reason := c.RemotePeer(), ""
	switch {
	case !d.cfg.Roster().Admits(p):
		reason = closeUnadmitted
	case !d.cfg.HasSession(p):
		reason = closeSilent
	default:
		return
	}
	d.closing(p, reason)
	_ = c.Close() // the peer is gone either way
}

// RosterChanged disconnects who left the roster, and once who is newly in it, so that pubsub greets it anew. Revoking in the
// ACL leaves circuits up that are open: only closing the connection ends them.
func (d *Door) RosterChanged(before, next *pki.Roster) {
	for _, p := range d.network.Peers() {
		switch was, is := before.Admits(p), next.Admits(p); {
		case was && !is:
			d.closePeer(p, closeRevoked) // defence: revocation
		case !was && is:
			d.closePeer(p, closeGreet)
		}
	}
	d.rates.keep(next.Admits)
}

// closePeer closes every connection of a peer, its circuits with them.
func (d *Door) closePeer(p peer.ID, reason string) {
	d.closing(p, reason)
	_ = d.network.ClosePeer(p) // an error means that a connection was closed already
}

// lastWords is how long a connection that was replaced is kept for what is still to be written to it. Arbitrary.
const lastWords = 250 * time.Millisecond

// Older returns the connections that a peer had before the one of its present session. Mostly they are dead, which shows
// nowhere: its address changed, or the network was away. As long as they are there the library opens streams over them,
// pubsub's too, and the peer stays deaf.
func (d *Door) Older(present network.Conn) (old []network.Conn) {
	for _, c := range d.network.ConnsToPeer(present.RemotePeer()) {
		if c.ID() != present.ID() && c.Stat().Opened.Before(present.Stat().Opened) { // defence: older-connection
			old = append(old, c)
		}
	}
	return old
}

// Retire closes connections that a newer one replaces, unless ctx, which is the newer session's, has ended already: which of
// the two is the living one is then for the peer to say.
func (d *Door) Retire(ctx context.Context, old []network.Conn) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(lastWords):
	}
	for _, c := range old {
		d.cfg.Count(closeOlder)
		_ = c.Close() // it is given up either way
	}
}
