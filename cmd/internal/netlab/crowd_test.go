//go:build linux

package netlab

import (
	"fmt"
	"testing"
	"time"
)

// crowd is how many members share one address.
const crowd = 30

// Thirty members behind one NAT address all have what a member has: a session and the topic, which is what "ready" says, and a
// circuit slot; they agree on a key, and a message reaches all. The library's own limits would refuse the ninth.
func TestThirtyMembersBehindOneAddress(t *testing.T) {
	lab := New(t)
	roles := make([]string, crowd)
	for i := range roles {
		roles[i] = fmt.Sprintf("m%02d", i)
	}
	g := lab.NewGroup(lab.Host("relay", lab.Public()), roles)
	office := lab.Router("office", lab.Public(), EndpointIndependent)
	members := make(map[string]*Process)
	for _, role := range roles { // without the LAN: it is the relay node's limits that are tried
		members[role] = g.StartMember(lab.Host(role, office.LAN), role, "--lan", "off")
	}
	const slow = 3 * time.Minute // thirty programs on what may be one core
	for _, role := range roles {
		members[role].Must("a try to connect", 0, slow, isDown)
	}
	began := time.Now()
	g.StartRelay() // last, so that they come together: each latecomer would make a further key
	var ready, key time.Time
	for _, role := range roles {
		ready = latest(ready, members[role].Must("a ready link", 0, slow, isReady).At)
		key = latest(key, members[role].Must("a key", 0, slow, func(l Line) bool { return l.Is("session_key") }).At)
		if err := members[role].AwaitLog("circuit slot", slow); err != nil {
			t.Errorf("%s has no circuit slot: %v", role, err)
		}
	}
	if err := members[roles[0]].Say(`{"send":"to all of you"}`); err != nil {
		t.Fatal(err)
	}
	for _, role := range roles[1:] {
		members[role].Must("the message", 0, slow, Says(roles[0], "to all of you"))
	}
	t.Logf("%d members: all ready after %s, all with a key after %s", crowd, short(ready.Sub(began)), short(key.Sub(began)))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
