package node

import (
	"slices"
	"testing"

	"conclave/node/uplink"
)

// TestRouteIsRemembered: the address by which the relay node was reached is there after a restart; without a state file
// there is none.
func TestRouteIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A")
	a := w.join("A")
	a.until("a link", func(events []Event) bool {
		return slices.ContainsFunc(all[Link](events), func(l Link) bool { return l.State == Ready })
	})
	a.leave()
	again, err := New(w.config("A"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	loaded, err := again.state.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := uplink.Routes(loaded.Marks)[w.group.Relay(0).Cert.Peer]; got == nil || !got.Equal(w.relayAt) {
		t.Errorf("remembers %v, want %s", got, w.relayAt)
	}
}
