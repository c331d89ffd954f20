package node

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestKeyHides prints a key in every way but the one that is asked for.
func TestKeyHides(t *testing.T) {
	var k Key
	k.bytes[0] = 0xab
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %x %s %v", k, k, k, k, k, text, k.LogValue())
	if strings.Contains(shown, "ab00") || strings.Contains(shown, "171") || strings.Contains(shown, "0xab") {
		t.Errorf("a key shows itself: %s", shown)
	}
	if got := k.Reveal(); got != "ab"+strings.Repeat("0", 62) {
		t.Errorf("revealed as %s", got)
	}
}

// TestTimingDefaults fills what is zero, keeps what is not, and refuses what is negative.
func TestTimingDefaults(t *testing.T) {
	got := Timing{AckBase: time.Hour}.withDefaults()
	if got.AckBase != time.Hour || got.StoreAfter != 2*time.Second || got.WindowCommit != 50*time.Millisecond {
		t.Fatalf("defaults are %+v", got)
	}
	w := newWorld(t, "A")
	cfg := w.config("A")
	cfg.Timing.GapGrace = -1
	if _, err := New(cfg); err == nil {
		t.Fatal("a negative time was taken")
	}
	cfg = w.config("A")
	cfg.Group = nil
	if _, err := New(cfg); err == nil {
		t.Fatal("a node without a group was made")
	}
}
