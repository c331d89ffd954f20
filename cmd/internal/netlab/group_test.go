//go:build linux

package netlab

import "testing"

// The real programs run in a lab: three members behind three routers agree on a key and talk.
func TestRealPrograms(t *testing.T) {
	lab := New(t)
	roles := []string{"A", "B", "C"}
	g := lab.NewGroup(lab.Host("relay", lab.Public()), roles)
	g.StartRelay()
	members := map[string]*Process{}
	for _, role := range roles {
		home := lab.Router("home-"+role, lab.Public(), EndpointIndependent)
		members[role] = g.StartMember(lab.Host(role, home.LAN), role)
	}
	keys := map[string]bool{}
	for _, role := range roles {
		keys[members[role].Must("a key of all", 0, patience, HasKeyOf(roles...)).String("fingerprint")] = true
	}
	if len(keys) != 1 {
		t.Errorf("the keys are %v", keys)
	}
	if err := members["A"].Say(`{"send":"hello"}`); err != nil {
		t.Fatal(err)
	}
	members["B"].Must("the message", 0, patience, Says("A", "hello"))
	members["C"].Must("the message", 0, patience, Says("A", "hello"))
	if code := members["A"].Stop(patience); code != 0 {
		t.Errorf("A ended with %d: %s", code, members["A"])
	}
}
