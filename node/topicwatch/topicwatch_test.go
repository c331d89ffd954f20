package topicwatch

import (
	"testing"
	"time"
)

// begun is when the test begins.
var begun = time.Unix(1_800_000_000, 0)

// TestStreak wants several in a row over some time.
func TestStreak(t *testing.T) {
	t.Parallel()
	var s streak
	for i := range 10 {
		if s.miss(begun.Add(time.Duration(i)*time.Second), 10*time.Second) {
			t.Fatalf("doubted after %d s", i)
		}
	}
	if !s.miss(begun.Add(10*time.Second), 10*time.Second) {
		t.Error("never doubted")
	}
	s = streak{}
	for i := range doubts {
		if got := s.miss(begun, 0); got != (i == doubts-1) {
			t.Errorf("after %d misses: doubted is %v", i+1, got)
		}
	}
}
