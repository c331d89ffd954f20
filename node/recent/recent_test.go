package recent_test

import (
	"testing"

	"conclave/node/recent"
)

func TestMap(t *testing.T) {
	t.Parallel()
	m := recent.New[string, int](2)
	if !m.Add("a", 1) || m.Add("a", 2) || !m.Add("b", 3) {
		t.Fatal("a key is new once")
	}
	m.Set("a", 4)
	m.Set("x", 5)
	if v, known := m.Get("a"); v != 4 || !known {
		t.Fatalf("a is %d, %v", v, known)
	}
	if _, known := m.Get("x"); known {
		t.Fatal("Set entered a key")
	}
	m.Add("c", 6) // a has to go, though it was changed last
	for key, want := range map[string]bool{"a": false, "b": true, "c": true} {
		if _, known := m.Get(key); known != want {
			t.Errorf("%s is known: %v", key, known)
		}
	}
	if !m.Add("a", 7) {
		t.Error("what was forgotten is new again")
	}
}
