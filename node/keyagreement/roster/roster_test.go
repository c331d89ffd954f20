package roster_test

import (
	"testing"

	"conclave/node/keyagreement/roster"
	"conclave/overlay/wire"
)

func TestView(t *testing.T) {
	t.Parallel()
	a, b := roster.Member{Role: "A", Identity: [32]byte{1}}, roster.Member{Role: "B", Identity: [32]byte{2}}
	v := roster.New(roster.Roster{Hash: wire.RosterHash{1}, Members: []roster.Member{b, a}})
	if v.Members[0] != a || v.Index["B"] != 1 || !v.Key("B", b.Identity) || v.Key("B", a.Identity) || v.Key("C", a.Identity) {
		t.Error("members are not found by role")
	}
	otherRSA := b
	otherRSA.Unwrap = [32]byte{9}
	for name, c := range map[string]struct {
		members []roster.Member
		removes bool
	}{"the same": {[]roster.Member{a, b}, false}, "one more": {[]roster.Member{a, b, {Role: "C"}}, false}, "one less": {[]roster.Member{a}, true}, "another RSA key": {[]roster.Member{a, otherRSA}, true}} {
		next := roster.New(roster.Roster{Hash: wire.RosterHash{2}, Members: c.members})
		if next.Removes(v) != c.removes {
			t.Errorf("%s: removes is %v", name, !c.removes)
		}
	}
	if v.Removes(v) || !v.Holds(b) || v.Holds(otherRSA) {
		t.Error("a roster removes its own members, or holds others")
	}
}
