package delivery

import (
	"slices"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/overlay/wire"
)

// acknowledged is an acknowledgement by another member.
func (b *bench) acknowledged(by wire.Role, sender uint16, ids ...wire.MessageID) Received {
	b.t.Helper()
	var list []frame.Ack
	for _, id := range ids {
		list = append(list, frame.Ack{Sender: sender, ID: id.Short()})
	}
	b.ids++
	return from(by, b.seals(by, 1, frame.AckContent(b.id(), b.now, list)))
}

// TestDelivered counts who has shown a message, each once, and nobody's acknowledgement of another's message (SPEC 7.4).
func TestDelivered(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.say("one")[0]
	b.do(b.acknowledged("B", 1, id)) // B's own message with the same ID
	if len(of[Delivered](b)) != 0 {
		t.Fatal("an acknowledgement of another's message counts")
	}
	for _, by := range []wire.Role{"C", "B", "C"} {
		b.do(b.acknowledged(by, 0, id))
	}
	got := of[Delivered](b)
	if len(got) != 2 || !slices.Equal(got[0].By, []wire.Role{"C"}) || !slices.Equal(got[1].By, []wire.Role{"B", "C"}) {
		t.Errorf("delivered: %v", got)
	}
	if len(of[Done](b)) != 1 {
		t.Error("it stays in the outbox, or leaves it twice")
	}
}

// TestFlush waits for what was said before it, and for nothing else.
func TestFlush(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(Flush{Ref: 1})
	one := b.say("one")[0]
	b.do(Flush{Ref: 2})
	b.say("two")
	if got := of[Flushed](b); !slices.Equal(got, []Flushed{{1}}) {
		t.Fatalf("flushed: %v", got)
	}
	b.do(b.acknowledged("B", 0, one))
	if got := of[Flushed](b); !slices.Equal(got, []Flushed{{1}, {2}}) {
		t.Errorf("flushed: %v", got)
	}
}

// TestAcknowledgements gather, go alone after one to two distances, or with texts after half of one (SPEC 7.4).
func TestAcknowledgements(t *testing.T) {
	t.Parallel()
	acked := func(b *bench) (n int) {
		for _, p := range of[Publish](b) {
			for _, c := range b.opens(p, "B", 1) {
				if c.Type == contentAck {
					n += len(slices.Collect(c.Acks()))
				}
			}
		}
		return n
	}
	b := newBench(t, nil)
	b.do(from("B", b.text("B", 1, "one"), b.text("B", 1, "two")))
	b.after(149 * time.Millisecond)
	if acked(b) != 0 {
		t.Error("alone too early")
	}
	b.after(152 * time.Millisecond)
	if n := acked(b); n != 2 || len(of[Publish](b)) != 1 {
		t.Errorf("%d messages are acknowledged in time", n)
	}

	b = newBench(t, func(c *Config) { c.Timing.AckBase = time.Hour })
	b.do(from("B", b.text("B", 1, "one")))
	b.after(10 * time.Minute)
	b.say("too early")
	if acked(b) != 0 {
		t.Error("with a text too early")
	}
	b.clear()
	b.after(25 * time.Minute)
	b.say("with it")
	if got := acked(b); got != 1 {
		t.Errorf("%d ride", got)
	}

	b = newBench(t, func(c *Config) { c.Shown = []Shown{{"B", wire.MessageID{1}}} })
	b.after(time.Second)
	if got := acked(b); got != 1 {
		t.Errorf("after a restart %d are acknowledged once more", got)
	}

	b = newBench(t, func(c *Config) { c.Shown = []Shown{{"Z", wire.MessageID{1}}} }) // not in the session
	b.after(time.Second)
	if len(of[Publish](b)) != 0 {
		t.Error("a message of somebody who is not in the session is acknowledged")
	}
}

// TestAcknowledgementsSpread has many members show a message at one moment: they do not acknowledge it at one moment, and
// none waits for ever.
func TestAcknowledgementsSpread(t *testing.T) {
	t.Parallel()
	tenths := make(map[time.Duration]bool)
	for seed := range uint64(200) {
		a := acks{cfg: &Config{Rand: newSource(seed), Timing: Timing{AckBase: time.Hour}}}
		a.add(Shown{}, begun)
		wait := a.alone.Sub(a.since)
		if wait < time.Hour || wait > 2*time.Hour {
			t.Fatalf("an acknowledgement waits %v, not one to two hours", wait)
		}
		tenths[(wait-time.Hour)/(6*time.Minute)] = true
	}
	if len(tenths) < 8 {
		t.Errorf("200 members acknowledge in %d of ten tenths of an hour", len(tenths))
	}
	a := acks{cfg: &Config{Members: 100, Timing: Timing{AckBase: 150 * time.Millisecond, AckPerMember: 40 * time.Millisecond}}}
	if d := a.distance(); d != 4*time.Second {
		t.Errorf("a hundred members wait %v", d)
	}
}

// TestAcknowledgementsSplit puts no more into a frame than it holds, and keeps what finds no room.
func TestAcknowledgementsSplit(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const n = 2*frame.MaxAcks + 1
	for i := range n {
		b.m.acks.add(Shown{"B", wire.MessageID{byte(i), byte(i >> 8)}}, b.now)
	}
	b.after(time.Second)
	var sizes []int
	for _, p := range of[Publish](b) {
		for _, c := range b.opens(p, "B", 1) {
			sizes = append(sizes, len(slices.Collect(c.Acks())))
		}
	}
	if !slices.Equal(sizes, []int{frame.MaxAcks, frame.MaxAcks, 1}) {
		t.Errorf("frames of %v acknowledgements", sizes)
	}
}
