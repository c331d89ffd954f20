package asking_test

import (
	"testing"
	"time"

	"conclave/node/keyagreement/asking"
	"conclave/node/keyagreement/limits"
	"conclave/overlay/wire"
)

var begin = time.UnixMilli(1_800_000_000_000)

func request(instance byte, sequence int64, want bool) wire.Request {
	return wire.Request{Role: "B", Instance: wire.Instance{instance}, Sequence: uint64(sequence), Want: want}
}

// TestFresh tells new requests from old ones, each run of a role for itself.
func TestFresh(t *testing.T) {
	t.Parallel()
	b, now := asking.NewBook(), begin.UnixMilli()
	for i, c := range []struct {
		p    wire.Request
		here bool
		want bool
	}{
		{request(1, now, true), false, true},
		{request(1, now, true), false, false},                                    // the same again
		{request(1, now-1, true), false, false},                                  // an older one
		{request(2, now-1, true), false, true},                                   // of another run
		{request(3, now-limits.RequestAge.Milliseconds()-1, true), false, false}, // it lay in a mailbox
		{request(4, now-limits.RequestAge.Milliseconds()-1, true), true, true},   // but its sender is here
		{request(1, now+1000, true), false, true},                                // above the limit: not remembered
		{request(1, now+1, true), false, true},
	} {
		if got := b.Fresh(c.p, uint64(now+500), begin, c.here); got != c.want {
			t.Errorf("request %d is fresh: %v", i, got)
		}
	}
}

// TestRepeat takes a repeat for no newcomer.
func TestRepeat(t *testing.T) {
	t.Parallel()
	b := asking.NewBook()
	b.Take(request(1, 1, true), begin)
	b.Take(request(1, 2, false), begin.Add(time.Second))
	if r := b.Newest["B"]; !r.Want || !r.Came.Equal(begin) || !r.Heard.Equal(begin.Add(time.Second)) {
		t.Errorf("after a repeat: %+v", r)
	}
	b.Take(request(2, 1, false), begin.Add(time.Minute))
	if r := b.Newest["B"]; r.Want || !r.Came.Equal(begin.Add(time.Minute)) {
		t.Errorf("after another run: %+v", r)
	}
	if b.SetBack(begin); !b.Newest["B"].Heard.Equal(begin) {
		t.Errorf("after the clock was set back: %+v", b.Newest["B"])
	}
}

// TestSilence makes whoever was silent ask anew and wait, longer each time.
func TestSilence(t *testing.T) {
	t.Parallel()
	b := asking.NewBook()
	b.Take(request(1, 1, true), begin)
	var waits []time.Duration
	for range 3 {
		b.Silent("B", begin, time.Second, 3*time.Second)
		until, anew := b.Until("B")
		if anew {
			t.Fatal("it has not asked anew")
		}
		waits = append(waits, until.Sub(begin))
	}
	if waits[0] != time.Second || waits[1] != 2*time.Second || waits[2] != 3*time.Second {
		t.Errorf("it waits %v", waits)
	}
	b.Take(request(1, 2, true), begin)
	if _, anew := b.Until("B"); !anew {
		t.Error("it has asked anew")
	}
	if b.Forgive("B"); b.Failures("B") != 0 {
		t.Error("silence is no failure")
	}
	b.Failed("B")
	if b.Patience("B", time.Second, time.Minute) != 2*time.Second {
		t.Error("patience does not double")
	}
	if b.Completed("B"); b.Patience("B", time.Second, time.Minute) != time.Second {
		t.Error("an epoch that completes is forgotten")
	}
}
