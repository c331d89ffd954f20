package feed

import (
	"fmt"
	"testing"
)

// TestSubscriptionEnds reads what is left after the hub was closed, then ends.
func TestSubscriptionEnds(t *testing.T) {
	h := New(func(n uint64) string { return fmt.Sprintf("%d events were dropped", n) })
	s := h.Subscribe()
	h.Publish("last")
	h.Close()
	if e, ok := s.Next(t.Context()); !ok || e != "last" {
		t.Fatalf("got %v, %v", e, ok)
	}
	if e, ok := s.Next(t.Context()); ok {
		t.Fatalf("got %v after the end", e)
	}
	if _, ok := h.Subscribe().Next(t.Context()); ok {
		t.Fatal("a late subscription does not end")
	}
}

// TestSubscriptionLags drops, counts and says so.
func TestSubscriptionLags(t *testing.T) {
	h := New(func(n uint64) string { return fmt.Sprintf("%d events were dropped", n) })
	s := h.Subscribe()
	for range MaxEvents + 5 {
		h.Publish("")
	}
	if !h.Paused() {
		t.Fatal("a full subscription does not pause")
	}
	for range MaxEvents {
		if _, ok := s.Next(t.Context()); !ok {
			t.Fatal("ended")
		}
	}
	select {
	case <-h.Resume():
	default:
		t.Fatal("nobody is told that there is room again")
	}
	h.Publish("next")
	if e, _ := s.Next(t.Context()); e != "5 events were dropped" {
		t.Fatalf("got %+v", e)
	}
	if e, _ := s.Next(t.Context()); e != "next" {
		t.Fatalf("got %+v", e)
	}
}
