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

// TestAnswers: nobody answers for others at once, and soon everybody had a turn; few answer at one time.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var members []roster.Member
	for role := wire.Role("A"); role <= "I"; role = wire.Role([]byte{role[0] + 1}) {
		members = append(members, roster.Member{Role: role, Identity: [32]byte{role[0]}})
	}
	v := roster.New(roster.Roster{Members: members})
	answered := map[wire.Role]bool{}
	for attempt := range uint32(5) {
		now := 0
		for _, m := range members {
			if m.Role != "D" && v.Answers(m.Role, "D", attempt) {
				now++
				answered[m.Role] = true
			}
		}
		if want := []int{0, 1, 2, 4, 8}[attempt]; now != want {
			t.Errorf("attempt %d: %d answer, want %d", attempt, now, want)
		}
	}
	if len(answered) != 8 || v.RoleOf([32]byte{'C'}) != "C" || v.RoleOf([32]byte{}) != "" {
		t.Errorf("%v answered", answered)
	}
}
