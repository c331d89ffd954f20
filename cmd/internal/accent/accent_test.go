package accent

import "testing"

func TestAccentsAreStable(t *testing.T) {
	if Of("A") != 0 || Of("B") != 1 || Of("C") != 2 {
		t.Error("A, B and C have other colours")
	}
	seen := map[int]bool{}
	for _, role := range []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "D", "E", "F", "G", "H", "I"} {
		n := Of(role)
		if n < 0 || n >= Count || n != Of(role) {
			t.Errorf("%s has colour %d", role, n)
		}
		seen[n] = true
	}
	if len(seen) < 5 {
		t.Errorf("fourteen roles have %d colours", len(seen))
	}
}
