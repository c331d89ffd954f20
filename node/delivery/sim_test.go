package delivery

import (
	"container/heap"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/overlay/batch"
	"conclave/overlay/longtest"
	"conclave/overlay/wire"
)

// The simulation runs several machines against a topic that loses, a relay node that comes and goes, disks that commit late,
// members that are killed, and epochs that complete at different times. In the end all is well for a while: then every text
// that was said, and not lost with its sender's memory, must have been shown by everybody, in its sender's order.

// world is a group in simulated time.
type world struct {
	t       testing.TB
	seed    uint64
	rand    *rand.Rand
	now     time.Time
	events  events
	serial  int
	members []*actor
	log     []entry // the relay node's backlog
	known   map[wire.BatchID]bool
	calm    bool // nothing is lost any more
	hostile bool // the relay node answers no request with what was asked for, and claims what is not so
	epoch   uint64
	numbers int
	said    map[wire.Role][]string        // in order
	lost    map[wire.Role]map[string]bool // with the sender's memory, perhaps
	failure string
}

// entry is a batch in the backlog.
type entry struct {
	batch  wire.Batch
	frames []wire.FrameHeader
}

// event is something that happens at a time.
type event struct {
	at     time.Time
	serial int
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// actor is a member: a machine, its disk and its screen.
type actor struct {
	w    *world
	role wire.Role
	m    *Machine // nil while it is down
	life int
	link int // to the relay node: odd while it is up
	full bool
	seq  int64

	sessions map[uint64]*frame.Session
	using    uint64
	disk     disk
	change   change
	closing  bool // a commit is under way
	timer    time.Time

	screen map[wire.Role]map[string]bool // of all lives
	last   map[wire.Role]int             // place of the last text shown, of this life
	gapped map[wire.Role]bool            // of all lives
}

// disk is what survives a kill.
type disk struct {
	states map[uint64][]byte
	outbox []Message
	shown  []Shown
}

// change is what waits for a commit.
type change struct {
	save   []Message
	done   []int64
	shown  []Shown
	states bool
}

func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.events, event{w.now.Add(d), w.serial, do})
}

// some returns a random duration below most.
func (w *world) some(most time.Duration) time.Duration {
	return time.Duration(w.rand.Int64N(int64(most)))
}

// chance is one of per cent, and never when all is well.
func (w *world) chance(percent int) bool { return !w.calm && w.rand.IntN(100) < percent }

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf("seed %d, after %v: ", w.seed, w.now.Sub(begun)) + fmt.Sprintf(format, args...)
	}
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), now: begun, known: make(map[wire.BatchID]bool),
		said: make(map[wire.Role][]string), lost: make(map[wire.Role]map[string]bool), epoch: 1,
	}
	for _, role := range abc {
		p := &actor{w: w, role: role, gapped: make(map[wire.Role]bool), screen: make(map[wire.Role]map[string]bool), disk: disk{states: make(map[uint64][]byte)}}
		w.members, w.lost[role] = append(w.members, p), make(map[string]bool)
		for _, of := range abc {
			p.screen[of] = make(map[string]bool)
		}
		p.start()
		p.complete(1)
		p.use(1)
	}
	return w
}

// start begins a life with what is on disk.
func (p *actor) start() {
	w := p.w
	p.life++
	p.full, p.timer, p.change, p.closing = false, time.Time{}, change{}, false
	p.sessions, p.last = make(map[uint64]*frame.Session), make(map[wire.Role]int)
	random := newSource(w.seed<<24 | uint64(p.life)<<8 | uint64(p.role[0]))
	p.m = New(Config{
		Self: p.role, Members: 3, MaxShown: 10_000, Shown: slices.Clone(p.disk.shown), Rand: random, Log: slog.New(slog.DiscardHandler),
		Sign: func(frames [][]byte) ([]byte, error) {
			return batch.Sign(identity(p.role), "test", wire.BatchFrames, frames)
		},
		Number: func() uint64 { w.numbers++; return uint64(w.numbers) },
		Awaits: func(epoch uint64) bool {
			for e := uint64(1); e < epoch; e++ {
				if p.sessions[e] == nil {
					return true
				}
			}
			return false
		},
		LineTime: func(int) time.Duration { return 0 },
		Timing: Timing{
			StoreAfter: 2 * time.Second, AckBase: 150 * time.Millisecond, AckPerMember: 40 * time.Millisecond,
			GapGrace: 30 * time.Millisecond, GapGiveUp: 20 * time.Second, DoubtAfter: 10 * time.Second,
		},
	}, w.now)
	for _, epoch := range slices.Sorted(maps.Keys(p.disk.states)) {
		s, err := frame.Restore(p.disk.states[epoch], random)
		if err != nil {
			w.t.Fatal(err)
		}
		p.sessions[epoch] = committed(s)
		p.disk.states[epoch] = s.Checkpoint().Bytes()
		p.step(Session{Transcript: transcript(epoch), Epoch: epoch, Frames: s, Resumed: true})
		p.step(Live{transcript(epoch)})
	}
	p.step(Say{Messages: slices.Clone(p.disk.outbox), OnDisk: true})
	if p.sessions[p.using] != nil {
		p.step(Use{transcript(p.using)})
	}
	p.settle()
	p.reconnect()
}

// kill ends a life: what is not committed is lost.
func (p *actor) kill() {
	if p.m == nil {
		return
	}
	for _, m := range p.change.save {
		p.w.lost[p.role][m.Text] = true
	}
	p.m = nil
	p.life++ // events of the life that is over find it so
	p.link += p.link % 2
	p.w.after(p.w.some(5*time.Second), p.start)
}

// alive has something happen in this life, later.
func (p *actor) alive(d time.Duration, do func()) {
	life := p.life
	p.w.after(d, func() {
		if p.m != nil && p.life == life {
			do()
			p.settle()
		}
	})
}

// linked has something happen while the present link lasts.
func (p *actor) linked(d time.Duration, do func()) {
	link := p.link
	p.alive(d, func() {
		if p.link == link {
			do()
		}
	})
}

func (p *actor) up() bool { return p.link%2 == 1 }

// reconnect brings the link up after a while.
func (p *actor) reconnect() {
	p.linked(p.w.some(2*time.Second), func() {
		if p.up() {
			return
		}
		p.link++
		p.step(RelayUp{})
		p.step(Sources{[]Source{relay}})
		p.heads(p.w.log, true)
	})
}

// disconnect takes the link down.
func (p *actor) disconnect() {
	if p.up() {
		p.link++
		p.step(Sources{})
		p.reconnect()
	}
}

// complete has an epoch's session on disk, and in the machine.
func (p *actor) complete(epoch uint64) {
	if p.sessions[epoch] != nil {
		return
	}
	s := committed(keys(p.w.t, abc, p.role, epoch))
	p.sessions[epoch], p.disk.states[epoch] = s, s.Checkpoint().Bytes()
	p.step(Session{Transcript: transcript(epoch), Epoch: epoch, Frames: s})
	p.step(Live{transcript(epoch)})
}

// use seals under an epoch, unless a newer one is used.
func (p *actor) use(epoch uint64) {
	if p.sessions[epoch] != nil && epoch > p.using {
		p.using = epoch
		p.step(Use{transcript(epoch)})
	}
}

// rekey has everybody complete another epoch, at different times, and use it later.
func (w *world) rekey() {
	w.epoch++
	epoch, hold := w.epoch, w.chance(30)
	for _, p := range w.members {
		if hold && p.m != nil {
			p.step(Hold{})
			p.settle()
		}
		var complete func()
		complete = func() {
			if p.m == nil {
				w.after(w.some(time.Second), complete)
				return
			}
			p.complete(epoch)
			p.settle()
			again := func() { p.use(epoch) }
			p.alive(w.some(2*time.Second), again)
		}
		d := w.some(2 * time.Second)
		if w.chance(20) { // a share is late
			d += 5 * time.Second
		}
		w.after(d, complete)
	}
}

// settle does what is due, and has it done again when the machine wants that.
func (p *actor) settle() {
	p.step(Settle{Date: p.w.now, Reaches: p.up(), Relay: p.up(), ScreensFull: p.full})
	p.commit()
	due := p.m.Deadline()
	if due.IsZero() || !p.timer.IsZero() && !due.Before(p.timer) && p.timer.After(p.w.now) {
		return
	}
	p.timer = due
	if due.Before(p.w.now) {
		p.timer = p.w.now
	}
	p.alive(p.timer.Sub(p.w.now), func() { p.timer = time.Time{} })
}

// step gives the machine an input and does what it wants.
func (p *actor) step(in Input) {
	for _, o := range p.m.Step(p.w.now, in) {
		p.perform(o)
	}
}

func (p *actor) perform(o Output) {
	switch o := o.(type) {
	case Publish:
		p.publish(o.Data, 5)
	case Store:
		if p.up() {
			p.step(HandedOver{o.IDs})
			for _, data := range o.Batches {
				p.publish(data, 0)
			}
		}
	case Ask:
		p.linked(p.w.some(50*time.Millisecond), func() { p.w.serve(p, o) })
	case Save:
		p.change.save = append(p.change.save, o.Message)
	case Done:
		p.change.done = append(p.change.done, o.Seq)
	case Remember:
		p.change.shown = append(p.change.shown, o.Shown)
	case Commit:
		p.change.states = true
	case Show:
		p.shows(o)
	case Gap:
		p.gapped[o.From] = true
	case StartBehind, SawBehind:
		p.w.fail("%s: %T, though no disk is old", p.role, o)
	}
}

// shows is the screen: nothing twice in a life, and everything in its sender's order unless a gap was told.
func (p *actor) shows(o Show) {
	at := slices.Index(p.w.said[o.From], o.Text) + 1
	switch {
	case at == 0:
		p.w.fail("%s shows %q, which %s never said", p.role, o.Text, o.From)
	case at == p.last[o.From], at < p.last[o.From] && !p.gapped[o.From] && !p.w.hostile: // which may say that there was nothing
		p.w.fail("%s shows %q of %s out of its order (%d after %d)", p.role, o.Text, o.From, at, p.last[o.From])
	}
	p.last[o.From] = at
	p.screen[o.From][o.Text] = true
}

// commit begins a commit if something waits and none is under way.
func (p *actor) commit() {
	c := p.change
	if p.closing || len(c.save)+len(c.done)+len(c.shown) == 0 && !c.states {
		return
	}
	p.closing = true
	p.alive(p.w.some(20*time.Millisecond), func() { // more gathers
		c, p.change = p.change, change{}
		points := make(map[uint64]frame.Checkpoint)
		for epoch, s := range p.sessions {
			points[epoch] = s.Checkpoint()
		}
		before := p.change.save
		p.change.save = append(c.save, before...) // lost, should it be killed now
		p.alive(p.w.some(10*time.Millisecond), func() {
			p.change.save = p.change.save[len(c.save):]
			p.write(c, points)
			p.closing = false
		})
	})
}

func (p *actor) write(c change, points map[uint64]frame.Checkpoint) {
	p.disk.outbox = slices.DeleteFunc(append(p.disk.outbox, c.save...), func(m Message) bool { return slices.Contains(c.done, m.Seq) })
	p.disk.shown = append(p.disk.shown, c.shown...)
	for epoch, point := range points {
		p.disk.states[epoch] = point.Bytes()
		p.sessions[epoch].Committed(point)
	}
	for _, m := range c.save {
		p.step(Saved{m.ID})
	}
}

// say has a member say something.
func (p *actor) say() {
	var list []Message
	for range 1 + p.w.rand.IntN(3) {
		p.seq++
		m := Message{Seq: p.seq, Text: fmt.Sprintf("%s %d", p.role, p.seq), At: p.w.now}
		m.ID = wire.MessageID{p.role[0], byte(p.seq >> 8), byte(p.seq)}
		m.ID[15] = 1
		p.w.said[p.role] = append(p.w.said[p.role], m.Text)
		list = append(list, m)
	}
	p.step(Say{Messages: list})
}

// disturb has something happen, and again later.
func (w *world) disturb() {
	if w.calm {
		return
	}
	p := w.members[w.rand.IntN(len(w.members))]
	switch n := w.rand.IntN(100); {
	case p.m == nil:
	case n < 60:
		p.say()
	case n < 68:
		p.disconnect()
	case n < 72:
		p.kill()
	case n < 80:
		p.full = !p.full
	case n < 84:
		w.rekey()
	}
	if p.m != nil {
		p.settle()
	}
	w.after(w.some(400*time.Millisecond), w.disturb)
}

// run has the world go on for a while.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for steps := 0; len(w.events) > 0 && !w.events[0].at.After(end) && w.failure == ""; steps++ {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
		if steps > 1_000_000 {
			w.fail("it never rests")
		}
	}
	w.now = end
}

// simulate runs a seed, and returns what went wrong.
func simulate(t testing.TB, seed uint64) string {
	w := newWorld(t, seed)
	w.disturb()
	w.run(20 * time.Second)
	w.calm = true
	for _, p := range w.members {
		p.full = false
		if p.m != nil {
			p.settle()
		}
	}
	w.run(30 * time.Second) // everybody is back, and all epochs are complete
	if w.failure != "" {
		return w.failure
	}
	for _, p := range w.members {
		if p.m == nil || p.using != w.epoch {
			p.use(w.epoch)
		}
		p.say()
		p.settle()
	}
	if w.run(3 * time.Minute); w.failure == "" {
		w.judge()
	}
	return w.failure
}

// simulateHostile runs a seed in which the relay node withholds what it can, and returns what went wrong: what a sender says while
// nothing of it is lost on its way has to be shown within three quarters of a minute, whatever is claimed or withheld of what came before.
func simulateHostile(t testing.TB, seed uint64) string {
	w := newWorld(t, seed)
	w.hostile = true
	w.disturb()
	w.run(20 * time.Second)
	w.calm = true
	for _, p := range w.members {
		p.full = false
		if p.m != nil {
			p.settle()
		}
	}
	w.run(10 * time.Second)
	for range 60 {
		w.run(time.Second)
		for _, p := range w.members {
			if p.m != nil && w.failure == "" {
				p.use(w.epoch) // the one before may have been killed in between
				p.settle()
			}
		}
		if !slices.ContainsFunc(w.members, func(p *actor) bool { return p.m == nil || p.using != w.epoch || !p.up() }) {
			break
		}
	}
	last := map[wire.Role]string{}
	for _, p := range w.members {
		if w.failure == "" && p.m != nil {
			p.say()
			p.settle()
			last[p.role] = w.said[p.role][len(w.said[p.role])-1]
		}
	}
	w.run(45 * time.Second)
	for _, p := range w.members {
		for from, text := range last {
			if from != p.role && !p.screen[from][text] {
				w.fail("%s has not shown %q, which nobody withheld", p.role, text)
			}
		}
	}
	return w.failure
}

// TestHostileRelay runs thousands of schedules in which the relay node is hostile.
func TestHostileRelay(t *testing.T) {
	t.Parallel()
	seeds := uint64(200)
	if longtest.Wanted() {
		seeds = 1000
	}
	for seed := range seeds {
		if failure := simulateHostile(t, seed); failure != "" {
			t.Fatal(failure)
		}
	}
}

// judge looks whether everybody has shown everything.
func (w *world) judge() {
	for _, p := range w.members {
		for _, from := range abc {
			if from == p.role {
				continue
			}
			for _, text := range w.said[from] {
				if !p.screen[from][text] && !w.lost[from][text] && !p.gapped[from] {
					w.fail("%s has not shown %q", p.role, text)
				}
			}
		}
		if c := p.m.Counts(); c != (Counts{}) {
			w.fail("%s has still on its way: %+v", p.role, c)
		}
		if n := len(p.m.mine.open); n > 0 {
			w.fail("%s waits for acknowledgements of %d messages", p.role, n)
		}
	}
}

// TestSimulation runs thousands of schedules.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seeds := uint64(300)
	if longtest.Wanted() {
		seeds = 1500
	}
	for seed := range seeds {
		if failure := simulate(t, seed); failure != "" {
			t.Fatal(failure)
		}
	}
}
