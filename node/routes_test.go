package node

import (
	"slices"
	"testing"

	"conclave/node/state"
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
	if got := again.routes[w.group.Relay(0).Cert.Peer]; got == nil || !got.Equal(w.relayAt) {
		t.Errorf("remembers %v, want %s", got, w.relayAt)
	}
}

// TestStrangeRoutes: what is no route, or a damaged one, is left out.
func TestStrangeRoutes(t *testing.T) {
	routes := routesIn(map[string][]byte{
		"code/A": []byte("{}"), "route/": nil, "route/x": []byte("/ip4/127.0.0.1/tcp/1"),
		"route/12D3KooWGRUVh7Zpxb1m4CmAUGL3dmCFgVvLbLVjTxWnQkiQ6gtg": []byte("nonsense"),
	})
	if len(routes) != 0 {
		t.Errorf("took %v", routes)
	}
	var l state.Loaded
	if n := len(routesIn(l.Marks)); n != 0 {
		t.Errorf("%d routes of nothing", n)
	}
}
