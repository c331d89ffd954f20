package delivery

import (
	"errors"
	"slices"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/node/order"
	"conclave/overlay/wire"
)

// texts returns the texts among contents.
func texts(list []frame.Content) (all []string) {
	for _, c := range list {
		if c.Type == contentText {
			all = append(all, c.Text())
		}
	}
	return all
}

// stored has the relay node acknowledge everything published so far.
func (b *bench) stored() {
	var ids []wire.BatchID
	for _, p := range of[Publish](b) {
		ids = append(ids, p.ID)
	}
	b.do(Stored{IDs: ids})
}

// TestSay publishes what is said before it is written down, and takes it out of the outbox when a relay node has it.
func TestSay(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.say("hello")[0]
	sent := of[Publish](b)
	if len(sent) != 1 || !slices.Equal(texts(b.opens(sent[0], "B", 1)), []string{"hello"}) {
		t.Fatalf("published: %d batches", len(sent))
	}
	first := func(what func(Output) bool) int { return slices.IndexFunc(b.outs, what) }
	published := first(func(o Output) bool { _, is := o.(Publish); return is })
	saved := first(func(o Output) bool { _, is := o.(Save); return is })
	if saved < published {
		t.Error("it is written down first")
	}
	b.do(Saved{id})
	b.stored()
	if q, r, d := of[Queued](b), of[Relayed](b), of[Done](b); len(q) != 1 || len(r) != 1 || len(d) != 1 || d[0].Seq != 1 {
		t.Errorf("queued %v, relayed %v, done %v", q, r, d)
	}
	if c := b.m.Counts(); c != (Counts{}) {
		t.Errorf("still on its way: %+v", c)
	}
}

// TestStoredBeforeSaved: a relay node may be faster than this disk. The message is Queued all the same, and once.
func TestStoredBeforeSaved(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.say("hello")[0]
	b.stored()
	b.do(Saved{id})
	if n := len(of[Queued](b)); n != 1 {
		t.Errorf("queued %d times", n)
	}
}

// TestWaitsForTheKey seals nothing before a session is used, and keeps the order.
func TestWaitsForTheKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.do(Hold{})
	b.say("one")
	b.say("two", "three")
	if len(of[Publish](b)) != 0 || b.m.Counts().Waiting != 3 {
		t.Fatal("sealed without a key")
	}
	b.do(Use{transcript(1)})
	if got := texts(b.opens(of[Publish](b)[0], "B", 1)); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("published: %q", got)
	}
}

// TestNobodyThere publishes nothing on a topic without anybody in it.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.line.Reaches, b.line.Relay = false, false
	b.say("one")
	if len(of[Publish](b)) != 0 {
		t.Fatal("published to nobody")
	}
	b.line.Reaches = true
	b.do()
	if len(of[Publish](b)) != 1 {
		t.Error("not published when somebody came")
	}
}

// TestManyMessages fills batches, has no more on their way than is allowed, and loses nothing.
func TestManyMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const n = 30_000
	all := make([]string, n)
	for i := range all {
		all[i] = string(rune('a' + i%26))
	}
	b.say(all...)
	if got := len(of[Publish](b)); got != maxSeals {
		t.Errorf("%d batches in one Settle", got)
	}
	b.after(0)
	if c := b.m.Counts(); c.Flying > maxFlying || c.Waiting == 0 {
		t.Errorf("%+v", c)
	}
	var got []string
	for range n {
		list := of[Publish](b)
		if len(list) == 0 {
			break
		}
		for _, p := range list {
			got = append(got, texts(b.opens(p, "B", 1))...)
		}
		ids := make([]wire.BatchID, 0, len(list))
		for _, p := range list {
			ids = append(ids, p.ID)
		}
		b.outs = nil
		b.do(Stored{IDs: ids})
		b.after(0)
	}
	if !slices.Equal(got, all) {
		t.Errorf("%d texts were published, want %d", len(got), n)
	}
}

// TestStore hands over the session stream what is not acknowledged in time, ever more rarely.
func TestStore(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.say("one")
	var at []time.Duration
	for b.now.Before(begun.Add(70 * time.Second)) {
		b.after(100 * time.Millisecond)
		for _, s := range of[Store](b) {
			at = append(at, b.now.Sub(begun).Round(time.Second))
			b.step(HandedOver{s.IDs})
		}
		b.clear()
	}
	if want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, 62 * time.Second}; !slices.Equal(at, want) {
		t.Errorf("stored at %v, want %v", at, want)
	}
	b.line.Relay = false
	b.after(time.Hour)
	if len(of[Store](b)) != 0 {
		t.Error("stored without a relay node")
	}
	b.line.Relay = true
	b.do(RelayUp{})
	if len(of[Store](b)) != 1 {
		t.Error("not stored when a relay node came")
	}
}

// TestNotPublished hands over at once what the topic does not take.
func TestNotPublished(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.say("one")
	b.do(NotPublished{of[Publish](b)[0].ID})
	if len(of[Store](b)) != 1 {
		t.Error("not stored")
	}
}

// TestHurry hands over everything when a person asks for it.
func TestHurry(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.say("one")
	b.do(Hurry{})
	if len(of[Store](b)) != 1 {
		t.Error("not stored")
	}
}

// TestNewDatabase brings a relay node that lost its database what is still at hand.
func TestNewDatabase(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.say("one")
	b.stored()
	b.do(RelayUp{})
	if len(of[Store](b)) != 0 {
		t.Fatal("the same database gets it again")
	}
	b.do(RelayUp{NewDatabase: true})
	if got := of[Store](b); len(got) != 1 || len(got[0].Batches) != 1 {
		t.Errorf("a new database gets %d stores", len(got))
	}
}

// TestRefused tells of what the relay node will not have, and tries again later.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.say("one")[0]
	b.do(Stored{Refused: []wire.RefusedBatch{{ID: of[Publish](b)[0].ID, Verdict: wire.VerdictMalformed}}})
	if got := of[Refused](b); len(got) != 1 || !slices.Equal(got[0].IDs, []wire.MessageID{id}) {
		t.Fatalf("refused: %v", got)
	}
	b.after(storeMax - time.Second)
	if len(of[Store](b)) != 0 {
		t.Error("tried again too early")
	}
	b.after(2 * time.Second)
	if len(of[Store](b)) != 1 {
		t.Error("not tried again")
	}
}

// TestHold takes back what flies when a member is removed, and seals it again under the next session with the same IDs; what
// was acknowledged meanwhile is not sent twice (SPEC 7.3: nobody is told to wait for frames that were taken back).
func TestHold(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.say("zero")
	b.stored()
	b.clear()
	ids := b.say("one")
	ids = append(ids, b.say("two")...)
	b.do(b.acknowledged("B", 0, ids[0]))
	flying := of[Publish](b)
	b.do(Hold{})
	if got := of[Withdraw](b); len(got) != 2 || got[0].ID != flying[1].ID {
		t.Fatalf("withdrawn: %v", got)
	}
	b.say("three")
	b.clear()
	b.session(2)
	b.do(Use{transcript(2)})
	contents := b.opens(of[Publish](b)[0], "B", 2)
	if got := texts(contents); !slices.Equal(got, []string{"two", "three"}) || contents[1].ID != ids[1] {
		t.Errorf("sealed again: %q", got)
	}
	prefix, before, ok := contents[0].Previous()
	if !ok || prefix != transcript(1).Prefix() || before.Counter != 1 {
		t.Errorf("led by %v, %+v, %v", prefix, before, ok)
	}
}

// TestHoldBehindWhatIsStored takes back a batch behind which another one is stored already: that one is still waited for.
func TestHoldBehindWhatIsStored(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.say("one")
	b.say("two")
	b.do(Stored{IDs: []wire.BatchID{of[Publish](b)[1].ID}})
	b.do(Hold{})
	b.clear()
	b.session(2)
	b.do(Use{transcript(2)})
	_, before, ok := b.opens(of[Publish](b)[0], "B", 2)[0].Previous()
	if !ok || before.Counter != 2 {
		t.Errorf("led by %+v, %v", before, ok)
	}
}

// TestSwitch waits with the first text under a new session until what was sent under the old one is stored, but not for long.
func TestSwitch(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		b := newBench(t, nil)
		b.say("old")
		b.session(2)
		b.do(Use{transcript(2)})
		b.say("new")
		if len(of[Publish](b)) != 1 {
			t.Fatal("sealed while the old one flies")
		}
		if stored {
			b.stored()
		} else {
			b.after(switchWait)
		}
		list := of[Publish](b)
		if len(list) != 2 || !slices.Equal(texts(b.opens(list[1], "B", 2)), []string{"new"}) {
			t.Errorf("stored %v: %d batches", stored, len(list))
		}
	}
}

// TestPreviousSent names, before the first text under a session, the place after the last text of the one before; after a
// restart, where the resumed session begins (SPEC 7.3).
func TestPreviousSent(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.say("one")
	b.stored()
	b.session(2)
	b.do(Use{transcript(2)})
	b.clear()
	b.say("two")
	b.say("three")
	list := of[Publish](b)
	prefix, before, ok := b.opens(list[0], "B", 2)[0].Previous()
	if !ok || prefix != transcript(1).Prefix() || before != (frame.Position{Counter: 1}) {
		t.Errorf("led by %v, %+v, %v", prefix, before, ok)
	}
	if got := b.opens(list[1], "B", 2); got[0].Type != contentText {
		t.Error("the second text is led by a note too")
	}

	b = newBench(t, nil)
	restored, err := frame.Restore(keys(t, abc, "A", 3).Checkpoint().Bytes(), newSource(1))
	if err != nil {
		t.Fatal(err)
	}
	b.step(Session{Transcript: transcript(3), Epoch: 3, Frames: committed(restored), Resumed: true}, Live{transcript(3)})
	b.session(4)
	b.do(Use{transcript(4)})
	b.say("after the restart")
	prefix, before, ok = b.opens(of[Publish](b)[0], "B", 4)[0].Previous()
	if !ok || prefix != transcript(3).Prefix() || before != (frame.Position{Start: 1}) {
		t.Errorf("after a restart led by %v, %+v, %v", prefix, before, ok)
	}
}

// TestNotCommitted seals nothing before a start is on disk, and asks for that.
func TestNotCommitted(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	s := keys(t, abc, "A", 2)
	b.do(Session{Transcript: transcript(2), Epoch: 2, Frames: s}, Live{transcript(2)}, Use{transcript(2)})
	b.say("one")
	if now := of[Commit](b); len(of[Publish](b)) != 0 || len(now) == 0 || !now[0].Now {
		t.Fatal("published, or no commit asked for")
	}
	committed(s)
	b.do()
	if len(of[Publish](b)) != 1 {
		t.Error("not published once it is on disk")
	}
}

// TestSignFails keeps what cannot be signed.
func TestSignFails(t *testing.T) {
	t.Parallel()
	fails := true
	b := newBench(t, func(c *Config) {
		sign := c.Sign
		c.Sign = func(frames [][]byte) ([]byte, error) {
			if fails {
				return nil, errors.New("no")
			}
			return sign(frames)
		}
	})
	b.say("one")
	fails = false
	b.do()
	if got := texts(b.opens(of[Publish](b)[0], "B", 1)); !slices.Equal(got, []string{"one"}) {
		t.Errorf("published: %q", got)
	}
}

// TestShelf: without a relay node, what others find here and have acknowledged makes room; a relay node that comes may store
// it yet (SPEC 7.5).
func TestShelf(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Shelf = true })
	b.line.Relay = false
	id := b.say("one")[0]
	p := of[Publish](b)[0]
	b.do(Shelved{p.ID})
	if len(of[SetAside](b)) != 0 {
		t.Fatal("set aside though nobody has it")
	}
	b.do(b.acknowledged("B", 0, id))
	if len(of[SetAside](b)) != 1 || b.m.Counts().Flying != 0 {
		t.Fatal("not set aside")
	}
	b.say("two")
	second := of[Publish](b)[1]
	b.do(Shelved{second.ID})
	b.after(asidePatience)
	if len(of[SetAside](b)) != 2 {
		t.Error("it waits for ever")
	}
	b.line.Relay = true
	b.do(RelayUp{}, Stored{IDs: []wire.BatchID{p.ID, second.ID}})
	if len(of[Relayed](b)) != 2 {
		t.Error("a relay node's word about what was set aside is lost")
	}
	b.say("three")
	b.do(Unshelved{of[Publish](b)[2].ID}) // still in flight
	b.stored()
	if len(of[Relayed](b)) < 3 {
		t.Error("what flies was forgotten with the shelf")
	}
}

// TestSilentTopic doubts a topic that carries nothing for a while, in either direction, and not at once again.
func TestSilentTopic(t *testing.T) {
	t.Parallel()
	late := func(b *bench) { // a text that the relay node gets over the session only
		b.clear()
		b.say("one")
		p := of[Publish](b)[0]
		b.after(3 * time.Second)
		b.step(HandedOver{[]wire.BatchID{p.ID}})
		silent := of[SilentTopic](b)
		b.do(Stored{IDs: []wire.BatchID{p.ID}})
		b.outs = append(b.outs, toOutputs(silent)...)
	}
	b := newBench(t, nil)
	doubts := 0
	for range 10 {
		late(b)
		doubts += len(of[SilentTopic](b))
	}
	if doubts != 1 {
		t.Errorf("doubted %d times in half a minute", doubts)
	}
	b.do(RelayUp{}) // what goes over the session because of a new link says nothing

	b = newBench(t, nil)
	b.do(Sources{[]Source{relay}})
	doubts = 0
	for i := range 10 {
		lost := b.text("B", 1, "lost")
		b.do(Heads{Peer: "relay", List: []wire.Head{{Prefix: transcript(1).Prefix(), Sender: 1, High: uint32(i), Signer: wire.Signer(public("B"))}}})
		b.after(3 * time.Second)
		b.answer(false, batchOf("B", lost))
		doubts = len(of[SilentTopic](b))
	}
	if doubts != 1 {
		t.Errorf("doubted %d times when everything had to be fetched", doubts)
	}
}

func toOutputs(list []SilentTopic) (all []Output) {
	for _, o := range list {
		all = append(all, o)
	}
	return all
}

// TestGapGrace is shorter for a gap that a later frame shows than for one that only a relay node tells of.
func TestGapGrace(t *testing.T) {
	t.Parallel()
	const grace = time.Minute
	for name, test := range map[string]struct {
		fill func(*order.Lane[[]byte])
		want time.Duration
	}{
		"a later frame": {func(q *order.Lane[[]byte]) { q.Put(order.Position{Counter: 1}, nil) }, grace},
		"only a hint":   {func(q *order.Lane[[]byte]) { q.Hint(0, 0, 0) }, hintGrace * grace},
		"a tail":        {func(q *order.Lane[[]byte]) { q.Put(order.Position{}, nil); q.Advance(); q.End() }, 0},
	} {
		l := newLane(&session{}, 1, frame.Member{}, order.Position{})
		test.fill(l.queue)
		if !l.gapped(Timing{GapGrace: grace}, false, begun) {
			t.Errorf("%s: no gap", name)
		}
		if got := l.gap.due.Sub(begun); got != test.want {
			t.Errorf("%s: due after %v, want %v", name, got, test.want)
		}
	}
}

// TestOtherFrame tells a repeated frame from another at its place, for as long as it is remembered.
func TestOtherFrame(t *testing.T) {
	t.Parallel()
	l := newLane(&session{}, 1, frame.Member{}, order.Position{})
	data := func(b byte) []byte { return append(make([]byte, wire.FrameMACSize-1), b) }
	l.remember(order.Position{}, data(1))
	if l.other(order.Position{}, data(1)) || !l.other(order.Position{}, data(2)) || l.other(order.Position{Counter: 1}, data(2)) {
		t.Error("frames are not told apart")
	}
	for i := range uint32(recentFrames) {
		l.remember(order.Position{Counter: i + 1}, data(1))
	}
	if l.other(order.Position{}, data(2)) || len(l.recent) != recentFrames {
		t.Errorf("%d frames are remembered", len(l.recent))
	}
}
