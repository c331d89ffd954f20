package delivery

import (
	"fmt"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/node/order"
	"conclave/overlay/wire"
)

// TestOrder shows the frames of a sender in their order, each once, however they come (SPEC 7.3).
func TestOrder(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]int{
		"in order": {0, 1, 2}, "backwards": {2, 1, 0}, "twice": {0, 0, 1, 1, 2, 2, 0, 1}, "mixed": {1, 2, 0, 1},
	} {
		b := newBench(t, nil)
		frames := [][]byte{b.text("B", 1, "one"), b.text("B", 1, "two"), b.text("B", 1, "three")}
		for _, i := range order {
			b.do(from("B", frames[i]))
		}
		b.shown("B: one", "B: two", "B: three")
		if n := len(of[Remember](b)); n != 3 {
			t.Errorf("%s: %d messages are remembered", name, n)
		}
	}
}

// TestShownOnceOverSessions shows a message once that its sender sealed again under the next session.
func TestShownOnceOverSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.session(2)
	b.ids++
	again := frame.TextContent(b.id(), b.now, "one")
	b.do(from("B", b.seals("B", 1, again)), from("B", b.seals("B", 2, again)))
	b.shown("B: one")
	other := newBench(t, func(c *Config) { c.Shown = []Shown{{"B", again.ID}} }) // before a restart
	other.do(from("B", other.seals("B", 1, again)))
	other.shown()
}

// TestForgedFrame has C, who knows the session's keys, send a frame as B in a batch of its own: nobody shows it, and B's own
// frame with the same number is shown (SPEC 7.3, opening 1).
func TestForgedFrame(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	forger := committed(keys(t, abc, "B", 1))
	forged, err := forger.Seal(nil, frame.TextContent(wire.MessageID{9}, b.now, "I am B, believe me"))
	if err != nil {
		t.Fatal(err)
	}
	b.do(from("C", forged, b.text("C", 1, "behind the forgery")))
	b.shown()
	b.do(from("B", b.text("B", 1, "the real B")))
	b.shown("B: the real B")
}

// TestUnknownSession keeps frames and heads of a session until it is live, and no more of them than there is room for.
func TestUnknownSession(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(Sources{[]Source{relay}})
	b.do(from("B", b.text("B", 2, "early")))
	lost := b.text("C", 2, "lost")
	b.do(Heads{Peer: "relay", List: []wire.Head{{Prefix: transcript(2).Prefix(), Sender: 2, Signer: wire.Signer(public("C"))}}})
	b.shown()
	b.session(2)
	b.do()
	b.shown("B: early")
	b.after(time.Second)
	b.answer(false, batchOf("C", lost))
	b.shown("B: early", "C: lost")

	b = newBench(t, nil)
	b.do(Sources{[]Source{relay}})
	size := 0
	for range maxUnknownFrames + 10 {
		f := b.text("B", 2, "early")
		size += len(f)
		b.step(from("B", f))
	}
	if u := b.m.sessions.unknown; u.frameCount != maxUnknownFrames || u.frameBytes > maxUnknownBytes {
		t.Errorf("%d frames of an unknown session are kept, %d bytes", u.frameCount, u.frameBytes)
	}
	for i := range uint32(maxUnknownHeads + 10) {
		b.step(Heads{Peer: "relay", List: []wire.Head{{Start: i}}})
	}
	if n := b.m.sessions.unknown.headCount; n != maxUnknownHeads {
		t.Errorf("%d heads of unknown sessions are kept", n)
	}
	b.step(Heads{Peer: "relay", Full: true})
	if n := b.m.sessions.unknown.headCount; n != 0 {
		t.Errorf("%d heads are kept though the relay node has none", n)
	}
}

// TestPrevious: what a sender sent under an earlier session is shown before what it sent under a later one (SPEC 7.3, 7.4).
func TestPrevious(t *testing.T) {
	t.Parallel()
	t.Run("FirstFrameLost", func(t *testing.T) { // only the note tells that there was one
		b := newBench(t, nil)
		b.session(2)
		b.do(Sources{[]Source{relay}})
		one := b.text("B", 1, "one")
		b.do(from("B", b.previous("B", 1, 2), b.text("B", 2, "two")))
		b.shown()
		b.after(time.Second)
		if a := b.lastAsk().Fetch; a.Prefix != transcript(1).Prefix() || a.Sender != 1 || a.From != 0 {
			t.Fatalf("asked for %+v", a)
		}
		b.answer(false, batchOf("B", one))
		b.after(time.Second)
		b.answer(false) // whether the start goes on
		b.shown("B: one", "B: two")
	})
	t.Run("KeyAfterTheNext", func(t *testing.T) { // session 2 is here before session 1.5, as when a share is late
		b := newBench(t, nil)
		b.session(3)
		b.awaits = true
		one := b.text("B", 2, "one")
		b.do(from("B", one))
		b.do(from("B", b.previous("B", 2, 3), b.text("B", 3, "two")))
		b.do(from("C", b.text("C", 3, "others do not wait")))
		b.after(time.Second)
		b.shown("C: others do not wait")
		b.session(2)
		b.do()
		b.shown("C: others do not wait", "B: one")
		b.do(Sources{[]Source{relay}})
		b.after(time.Second)
		b.answer(false)
		b.shown("C: others do not wait", "B: one", "B: two")
	})
	t.Run("KeyNever", func(t *testing.T) { // nothing tells that an epoch will not complete
		b := newBench(t, nil)
		b.session(3)
		b.awaits = true
		b.do(from("B", b.previous("B", 2, 3), b.text("B", 3, "two")))
		b.after(19 * time.Second)
		b.shown()
		b.after(2 * time.Second)
		b.shown("B: two")
	})
	t.Run("AwaitedNoMore", func(t *testing.T) {
		b := newBench(t, nil)
		b.session(3)
		b.awaits = true
		b.do(from("B", b.previous("B", 2, 3), b.text("B", 3, "two")))
		b.awaits = false
		b.after(time.Second)
		b.shown("B: two")
	})
	t.Run("NeverHere", func(t *testing.T) { // a session from before this member's time
		b := newBench(t, nil)
		b.session(3)
		b.do(from("B", b.previous("B", 2, 3), b.text("B", 3, "two")))
		b.shown("B: two")
	})
	t.Run("SomebodyElses", func(t *testing.T) { // an index that is not the sender's is ignored
		b := newBench(t, nil)
		b.session(2)
		id := wire.MessageID{7}
		note := frame.PreviousContent(id, b.now, transcript(1).Prefix(), frame.Position{Sender: 2, Counter: 5})
		b.do(from("B", b.seals("B", 2, note), b.text("B", 2, "two")))
		b.shown("B: two")
	})
	t.Run("TwoSessionsInOneTurn", func(t *testing.T) { // whichever is looked at first
		for _, backwards := range []bool{false, true} {
			b := newBench(t, nil)
			b.session(2)
			b.do(Sources{[]Source{relay}})
			one, two := from("B", b.text("B", 1, "one")), from("B", b.text("B", 2, "two"))
			if one, two := Input(one), Input(two); backwards {
				b.step(two, one)
			} else {
				b.step(one, two)
			}
			b.do()
			b.after(time.Second)
			b.answer(false) // nothing more under session 1
			b.shown("B: one", "B: two")
		}
	})
}

// previous returns a note of another member under epoch in: everything it sealed under epoch of comes first.
func (b *bench) previous(role wire.Role, of, in uint64) []byte {
	b.t.Helper()
	b.ids++
	return b.seals(role, in, frame.PreviousContent(b.id(), b.now, transcript(of).Prefix(), b.as(role, of).Next()))
}

// TestGap asks for what is missing, and gives up what nobody has, with a word.
func TestGap(t *testing.T) {
	t.Parallel()
	gapped := func(t *testing.T, change func(*Config)) (b *bench, one []byte) {
		b = newBench(t, change)
		b.do(Sources{[]Source{relay}})
		one = b.text("B", 1, "one")
		b.do(from("B", b.text("B", 1, "two")))
		return b, one
	}
	t.Run("Fetched", func(t *testing.T) {
		b, one := gapped(t, nil)
		b.after(29 * time.Millisecond)
		if n := len(of[Ask](b)); n != 0 {
			t.Fatalf("%d requests before the topic had its chance", n)
		}
		b.after(2 * time.Millisecond)
		b.answer(false, batchOf("B", one))
		b.shown("B: one", "B: two")
		if n := len(of[Keep](b)); n != 1 {
			t.Errorf("%d batches for the shelf", n)
		}
	})
	t.Run("Unasked", func(t *testing.T) { // an answer from somebody else, or to nothing, counts for nothing
		b, one := gapped(t, nil)
		b.after(time.Second)
		seq := b.lastAsk().Fetch.Seq
		b.do(Fetched{Source: "mallory", Seq: seq, Batches: []wire.Batch{batchOf("B", one)}})
		b.do(Fetched{Source: "relay", Seq: seq + 1, Batches: []wire.Batch{batchOf("B", one)}})
		b.shown()
	})
	t.Run("GivenUp", func(t *testing.T) {
		b, _ := gapped(t, nil)
		for b.now.Before(begun.Add(19 * time.Second)) {
			if n := len(of[Ask](b)); n > 0 {
				b.answer(false)
			}
			b.clear()
			b.after(100 * time.Millisecond)
		}
		if b.shown(); len(of[Gap](b)) != 0 {
			t.Fatal("given up too early")
		}
		var gaps []Gap
		for range 100 {
			if len(of[Ask](b)) > 0 {
				b.answer(false)
			}
			gaps = append(gaps, of[Gap](b)...)
			if len(gaps) > 0 {
				break
			}
			b.clear()
			b.after(100 * time.Millisecond)
		}
		if len(gaps) != 1 || gaps[0] != (Gap{"B", 1, 1}) {
			t.Fatalf("gaps: %v", gaps)
		}
		b.shown("B: two")
	})
	t.Run("LateAfterAll", func(t *testing.T) {
		b, one := gapped(t, func(c *Config) { c.Timing.GapGiveUp = time.Millisecond })
		b.after(time.Second)
		b.answer(false)
		b.after(time.Second)
		b.answer(false)
		b.after(time.Second)
		b.shown("B: two")
		b.do(from("B", one))
		b.shown("B: two", "B: one")
		if shows := of[Show](b); shows[0].Late || !shows[1].Late {
			t.Errorf("late are %v, %v", shows[0].Late, shows[1].Late)
		}
	})
	t.Run("AloneOneWaits", func(t *testing.T) { // without anybody there, time says nothing
		b, _ := gapped(t, nil)
		b.do(Sources{})
		b.line.Reaches, b.line.Relay = false, false
		b.after(10 * time.Minute)
		if len(of[Gap](b)) != 0 {
			t.Fatal("given up though nobody was there")
		}
		for range 2 { // somebody is there who cannot be asked, but may send it by itself
			b.line.Reaches = true
			b.after(9 * time.Second)
			b.line.Reaches = false
			b.after(time.Minute)
		}
		b.line.Reaches = true
		b.after(time.Second)
		if len(of[Gap](b)) != 0 {
			t.Fatal("given up too early")
		}
		b.after(2 * time.Second)
		if len(of[Gap](b)) != 1 {
			t.Fatal("never given up")
		}
	})
	t.Run("SourceLost", func(t *testing.T) { // the time in which nobody could be asked does not count
		b, one := gapped(t, nil)
		for range 3 {
			b.after(5 * time.Second)
			b.answer(false)
			b.line.Reaches = false
			b.do(Sources{})
			b.after(10 * time.Minute)
			b.line.Reaches = true
			b.do(Sources{[]Source{relay}})
		}
		b.answer(false, batchOf("B", one))
		b.shown("B: one", "B: two")
	})
	t.Run("ComesAndGoes", func(t *testing.T) { // whoever comes and goes all the time does not keep others' messages back
		b, _ := gapped(t, nil)
		for i := range 20 {
			b.after(2 * time.Second)
			b.do(Sources{})
			b.do(Sources{[]Source{relay}})
			if len(of[Gap](b)) != 0 {
				if i < 8 {
					t.Fatal("given up too early")
				}
				b.shown("B: two")
				return
			}
		}
		t.Fatal("never given up")
	})
	for name, hostile := range map[string]func(b *bench, a Ask, old wire.Batch){
		"Mute":    func(*bench, Ask, wire.Batch) {},
		"Refuses": func(b *bench, a Ask, _ wire.Batch) { b.do(FetchRefused{a.Source, a.Fetch.Seq}) },
		"OldAndMore": func(b *bench, a Ask, old wire.Batch) {
			b.do(Fetched{Source: a.Source, Seq: a.Fetch.Seq, Batches: []wire.Batch{old}, More: true})
		},
		"NoRoom": func(b *bench, a Ask, _ wire.Batch) { b.do(NotAsked{a.Fetch.Seq}) },
	} {
		t.Run("Hostile"+name, func(t *testing.T) { // one clock, whatever comes back (S2 of the faults)
			b := newBench(t, nil)
			b.do(Sources{[]Source{relay}})
			old := batchOf("B", b.text("B", 1, "zero"))
			b.do(Received{old})
			b.text("B", 1, "lost")
			b.do(from("B", b.text("B", 1, "two")))
			for b.now.Before(begun.Add(21 * time.Second)) {
				b.after(50 * time.Millisecond)
				for _, a := range of[Ask](b) {
					b.outs = nil
					hostile(b, a, old)
				}
			}
			if l := b.m.sessions.all[transcript(1)].lanes[1]; l.queue.Held() > 0 {
				t.Error("a text waits for ever")
			}
		})
	}
	t.Run("FalseHeadOfAnEarlierSession", func(t *testing.T) { // a claim holds nothing back
		b := newBench(t, nil)
		b.session(2)
		b.do(Sources{[]Source{relay}})
		b.do(Heads{Peer: "relay", List: []wire.Head{{Prefix: transcript(1).Prefix(), Sender: 1, High: 1 << 30, Signer: wire.Signer(public("B"))}}})
		b.do(from("B", b.text("B", 2, "now")))
		b.after(25 * time.Second)
		b.shown("B: now")
	})
	t.Run("AskedAgain", func(t *testing.T) { // of a relay node that goes before it answers
		b, _ := gapped(t, nil)
		b.after(time.Second)
		b.do(Sources{})
		b.clear()
		b.do(Sources{[]Source{relay}})
		b.lastAsk()
	})
	t.Run("Silent", func(t *testing.T) { // one that does not answer is asked again, others first
		b, _ := gapped(t, nil)
		b.do(Sources{[]Source{relay, {ID: "other", Peer: "other", Relay: true}}})
		b.after(time.Second)
		first := b.lastAsk().Source
		b.after(fetchTimeout)
		if second := b.lastAsk().Source; first != "relay" || second != "other" {
			t.Errorf("asked %s, then %s", first, second)
		}
	})
	t.Run("NoRoom", func(t *testing.T) {
		b, _ := gapped(t, nil)
		b.after(40 * time.Millisecond)
		b.do(NotAsked{b.lastAsk().Fetch.Seq})
		b.clear()
		b.after(time.Second)
		b.lastAsk()
	})
}

// TestWhoIsAsked asks relay nodes, then the sender, then others, four members at most.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	list := []Source{{ID: "b", Peer: "b", Role: "B"}, relay, {ID: "relay 2", Peer: "relay 2", Relay: true}}
	for i := range 6 {
		list = append(list, Source{ID: fmt.Sprint("a", i), Peer: fmt.Sprint("a", i), Role: "C"})
	}
	b.do(Sources{list})
	b.text("B", 1, "lost")
	b.do(from("B", b.text("B", 1, "two")))
	b.after(29 * time.Millisecond)
	for i, want := range []string{"relay", "relay 2", "b", "a0", "a1", "a2", "relay"} {
		b.clear()
		b.after(map[bool]time.Duration{false: 2 * time.Millisecond, true: 2 * time.Second}[i == 6]) // others are asked at once
		if got := b.lastAsk().Source; got != want {
			t.Errorf("%s is asked, want %s", got, want)
		}
		b.outs = b.outs[:0:0]
		b.step(Fetched{Source: want, Seq: b.seq})
	}
}

// TestFetchesAreFew has no more requests under way than are allowed, and asks for one long gap in few of them.
func TestFetchesAreFew(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(Sources{[]Source{relay}})
	for epoch := uint64(2); epoch < 9; epoch++ {
		b.session(epoch)
		for _, role := range []wire.Role{"B", "C"} {
			b.text(role, epoch, "lost")
			b.step(Heads{Peer: "relay", List: []wire.Head{{Prefix: transcript(epoch).Prefix(), Sender: map[wire.Role]uint16{"B": 1, "C": 2}[role], Signer: wire.Signer(public(role))}}})
		}
	}
	b.after(time.Second)
	if n := len(of[Ask](b)); n != maxFetches {
		t.Errorf("%d requests are under way", n)
	}
}

// TestGapWithMuchBehind has a lane full of frames behind a long gap: what a fetch brings takes their room, so the gap is
// closed after a few fetches and not after one for each frame.
func TestGapWithMuchBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(Sources{[]Source{relay}})
	const gap, each = 1000, 100
	total := gap + order.MaxHeld + 500
	frames := make([][]byte, total)
	for i := range frames {
		frames[i] = b.text("B", 1, "text")
	}
	for _, f := range frames[gap:] {
		b.step(from("B", f))
	}
	b.do()
	asked := 0
	for range 1000 {
		b.after(500 * time.Millisecond)
		if len(of[Ask](b)) == 0 {
			break
		}
		a := b.lastAsk().Fetch
		asked++
		b.outs = b.outs[:0:0]
		end := min(int(a.To)+1, int(a.From)+each)
		answer := Fetched{Source: "relay", Seq: a.Seq, More: end <= int(a.To)}
		for _, f := range frames[a.From:end] {
			answer.Batches = append(answer.Batches, batchOf("B", f))
		}
		b.do(answer)
	}
	if at := b.m.sessions.all[transcript(1)].lanes[1].queue.At().Counter; int(at) != total {
		t.Errorf("%d of %d frames were opened", at, total)
	}
	if asked > 20 {
		t.Errorf("%d requests for a gap of %d frames", asked, gap)
	}
}

// TestSlowScreen opens nothing while the screens are full, and everything afterwards, of every sender.
func TestSlowScreen(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(Sources{[]Source{relay}})
	b.line.ScreensFull = true
	b.do(from("B", b.text("B", 1, "one")))
	lost := b.text("C", 1, "lost")
	b.do(from("C", b.text("C", 1, "two")))
	b.after(time.Minute)
	b.shown()
	if n := len(of[Ask](b)); n != 0 {
		t.Errorf("%d requests while the screens are full", n)
	}
	b.line.ScreensFull = false
	b.do()
	b.shown("B: one")
	b.after(time.Second)
	b.answer(false, batchOf("C", lost))
	b.shown("B: one", "C: lost", "C: two")
}

// TestManyAtOnce opens no more in one Settle than the screens are asked about in between, and goes on by itself.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const n = 2*maxOpens + 10
	for range n {
		b.step(from("B", b.text("B", 1, "text")))
	}
	b.do()
	if got := len(of[Show](b)); got != maxOpens {
		t.Errorf("%d were opened at once", got)
	}
	b.after(0)
	if got := len(of[Show](b)); got != n {
		t.Errorf("%d of %d were opened", got, n)
	}
}

// TestLeaveMessages opens nothing for a member that only looks how things stand.
func TestLeaveMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.LeaveMessages = true })
	b.do(Sources{[]Source{relay}}, from("B", b.text("B", 1, "one")))
	b.do(Heads{Peer: "relay", List: []wire.Head{{Prefix: transcript(1).Prefix(), Sender: 1, Signer: wire.Signer(public("B"))}}})
	b.after(time.Minute)
	if b.shown(); len(of[Ask](b))+len(of[Publish](b)) != 0 {
		t.Error("something is asked for, or acknowledged")
	}
}

// TestOldDisk: a frame of this member's that it does not know of tells that an old disk was restored, here and at others
// (SPEC 7.3, 7.4).
func TestOldDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(from("A", b.text("A", 1, "of a later life")))
	if got := of[StartBehind](b); len(got) != 1 || got[0].Transcript != transcript(1) {
		t.Errorf("own frame: %v", got)
	}

	b = newBench(t, nil)
	behind := frame.BehindContent(wire.MessageID{1}, b.now, frame.Position{Sender: 0, Start: 5})
	b.do(from("B", b.seals("B", 1, behind)))
	if got := of[StartBehind](b); len(got) != 1 {
		t.Errorf("another one's word: %v", got)
	}

	b = newBench(t, nil)
	b.do(from("B", b.text("B", 1, "one")))
	b.others = make(map[wire.Role]map[uint64]*frame.Session)
	for range 3 {
		b.do(from("B", b.text("B", 1, "another one in its place")))
		b.others = make(map[wire.Role]map[uint64]*frame.Session)
	}
	if got := of[SawBehind](b); len(got) != 1 || got[0] != (SawBehind{transcript(1), "B", 1}) {
		t.Errorf("another frame at a position: %v", got)
	}
	b.after(behindEvery)
	b.do(from("B", b.text("B", 1, "another one in its place")))
	if got := of[SawBehind](b); len(got) != 2 {
		t.Errorf("later: %v", got)
	}
}

// TestForgottenSession opens nothing more under a session that is gone, and waits for nothing of it.
func TestForgottenSession(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(Sources{[]Source{relay}})
	b.text("B", 1, "lost")
	b.do(from("B", b.text("B", 1, "two")))
	b.session(2)
	b.do(from("B", b.text("B", 2, "three")))
	b.shown()
	b.after(time.Second)
	b.do(Forget{transcript(1)})
	b.shown("B: three")
	b.clear()
	b.do(from("B", b.text("B", 1, "four")))
	b.shown()
}
