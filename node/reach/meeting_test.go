package reach

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"conclave/overlay/overlaytest"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestRemovedMemberIsNotDialled: whoever was found on the local network is dialled if he is in the roster when his turn comes.
func TestRemovedMemberIsNotDialled(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	h, b := overlaytest.NewHost(t, g.Member("A").Identity), overlaytest.NewHost(t, g.Member("B").Identity)
	roster := g.Roster
	m := &meeting{
		cfg:   MeetConfig{Self: h.ID(), Host: h, InForce: func() *pki.Roster { return roster }, Log: slog.New(slog.DiscardHandler)},
		tried: make(chan attempt, maxMeetings), near: make(map[peer.ID]*neighbour),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var dials sync.WaitGroup
	defer dials.Wait()
	defer cancel()
	m.near[b.ID()] = &neighbour{addrs: b.Addrs(), due: time.Now().Add(-time.Second)}
	g.Reissue(func(d *authority.Draft) {
		if err := d.RemoveMember("B"); err != nil {
			t.Error(err)
		}
	})
	inForce := roster
	roster = g.Roster
	if m.dial(ctx, &dials); m.busy != 0 {
		t.Error("B is dialled after it was removed")
	}
	roster = inForce
	m.near[b.ID()].due = time.Now().Add(-time.Second)
	if m.dial(ctx, &dials); m.busy != 1 {
		t.Error("B is not dialled while it is a member")
	}
}
