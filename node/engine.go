package node

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"conclave/node/frame"
	"conclave/node/keyagreement"
	"conclave/node/state"
	"conclave/overlay/wire"
	"conclave/pki"
)

// maxTurn is how many topic batches are taken in one turn before everything else is looked at again.
const maxTurn = 64

// engine decides. All its fields and those of its parts are owned by whoever holds turn: New, then the goroutine that runs
// loop, which lets go of it while it waits for something to do, and meanwhile whoever calls Node.inTurn.
type engine struct {
	turn sync.Mutex

	// static after construction
	n      *Node
	cfg    Config
	self   wire.Role
	random io.Reader

	ctx     context.Context // of loop
	machine *keyagreement.Machine
	roster  *pki.Roster // as the machine knows it
	refs    refs
	first   []keyagreement.Output // of the machine's making; performed when loop begins

	ledger  *ledger
	chats   chats
	inbound inbound
	outbox  outbox
	post    post
	keep    keeper
	near    neighbours
	links   links
	members presence
	paths   paths
	marks   marks
	carried carriage
	yielded bool // in this turn

	late  []*wire.Batch // off the topic; their first frames have been opened outside of loop
	timer *time.Timer   // ends loop's wait
	due   time.Time     // when it does
}

// newEngine makes the engine from what the state file holds.
func newEngine(n *Node) (*engine, error) {
	loaded, err := n.state.Load(context.Background())
	if err != nil {
		return nil, err
	}
	e := &engine{n: n, cfg: n.cfg, self: n.self.Role, random: n.cfg.Rand, roster: n.cfg.Roster, refs: newRefs()}
	e.turn.Lock()
	e.ledger = newLedger(e, n.state)
	e.chats = newChats(e)
	e.inbound = newInbound(e, loaded.Shown)
	e.outbox = newOutbox(e, loaded)
	e.post = newPost(e)
	e.near = newNeighbours(e)
	e.keep = newKeeper(e, loaded.Shelf)
	e.links = newLinks(e)
	e.members = newPresence(e)
	e.carried = carriage{e: e}
	e.paths = newPaths(e)
	e.marks = newMarks(e, loaded.Marks)
	n.routes = routesIn(loaded.Marks)
	n.in.restore(e.self, loaded.Shown, loaded.Outbox)
	if err := e.chats.restore(loaded.Sessions); err != nil {
		return nil, err
	}
	if newest := e.chats.newest(); newest != nil {
		e.outbox.last = after(newest)
	}
	if err := e.begin(loaded); err != nil {
		return nil, err
	}
	return e, nil
}

// begin makes the step machine and commits what it wants remembered, together with the use of each session's next start.
func (e *engine) begin(loaded *state.Loaded) error {
	var instance wire.Instance
	if _, err := io.ReadFull(e.random, instance[:]); err != nil {
		return fmt.Errorf("drawing an instance: %w", err)
	}
	machine, outs, err := keyagreement.New(keyagreement.Config{
		Group: e.cfg.Group.ID, Self: e.self, Instance: instance, Roster: rosterView(e.roster),
		Sign: e.sign, Rand: e.random, Records: loaded.Records,
	}, e.cfg.Now())
	if err != nil {
		return fmt.Errorf("beginning the key agreement: %w", err)
	}
	e.machine = machine
	e.chats.recall(machine.Inspect())
	_, e.first = e.remember(outs)
	return e.ledger.finish()
}

// loop works until ctx ends.
func (e *engine) loop(ctx context.Context) {
	e.ctx = ctx
	e.outbox.announce()
	e.marks.look()
	e.perform(e.first)
	e.first = nil
	e.timer = time.NewTimer(0)
	defer e.timer.Stop()
	for ctx.Err() == nil {
		e.settle()
		wait := e.wait()
		e.due = time.Now().Add(wait)
		e.timer.Reset(wait)
		var (
			job          func(*engine)
			came         *wire.Batch
			resume, tick bool
		)
		e.turn.Unlock()
		select {
		case <-ctx.Done():
		case job = <-e.n.feed:
		case came = <-e.n.batches:
		case <-e.n.in.wake:
		case <-e.n.hub.resume:
			resume = true
		case <-e.timer.C:
			tick = true
		}
		e.turn.Lock()
		e.yielded = false
		e.catchUp()
		switch {
		case job != nil:
			job(e)
			e.more()
		case came != nil:
			e.inbound.arrived(came, 0)
			e.more()
		case resume:
			e.inbound.resume()
		case tick:
			e.tick()
		}
	}
}

// more takes what else is there already, so that one turn's settling serves all of it.
func (e *engine) more() {
	for range maxTurn {
		select {
		case f := <-e.n.feed:
			f(e)
		case b := <-e.n.batches:
			e.inbound.arrived(b, 0)
		default:
			return
		}
	}
}

// settle does what a turn gathered: what has become due is sent, asked for, or committed.
func (e *engine) settle() {
	e.inbound.settle()
	e.outbox.settle()
	e.post.settle()
	e.keep.settle()
	e.ledger.settle()
}

// gather is how long the loop waits for more when all that a person waits for was done outside of it. Arbitrary: a few messages
// that come together are entered together, and on a machine where others read them too they are not held up meanwhile.
const gather = 5 * time.Millisecond

// soon has the loop's wait end after gather at the latest.
func (e *engine) soon() {
	if at := time.Now().Add(gather); at.Before(e.due) {
		e.due = at
		e.timer.Reset(gather)
	}
}

// early opens the first frame of a batch off the topic, if its turn has come and not too much of the kind waits already, and
// leaves the rest to the loop. It reports whether it did.
func (e *engine) early(b *wire.Batch) bool {
	if len(e.late) >= maxTurn {
		return false
	}
	e.yielded = true // this is not the engine's goroutine
	if !e.inbound.early(b) {
		return false
	}
	e.late = append(e.late, b)
	e.soon()
	return true
}

// catchUp does what early left.
func (e *engine) catchUp() {
	for _, b := range e.late {
		e.inbound.arrived(b, 1)
	}
	clear(e.late)
	e.late = e.late[:0]
}

// tick gives everything whose time has come its turn.
func (e *engine) tick() {
	if at, ok := e.machine.Deadline(); ok && !at.After(e.cfg.Now()) {
		e.step(keyagreement.Tick{})
	}
	e.inbound.tick()
	e.outbox.tick()
	e.post.tick()
	e.members.tick()
	e.paths.tick()
}

// wait returns how long nothing has to be done unless something happens.
func (e *engine) wait() time.Duration {
	wait, now := time.Hour, time.Now()
	if at, ok := e.machine.Deadline(); ok {
		wait = min(wait, at.Sub(e.cfg.Now()))
	}
	for _, due := range []time.Time{
		e.ledger.deadline(), e.inbound.deadline(), e.outbox.deadline(), e.post.deadline(), e.keep.deadline(), e.members.due, e.paths.due,
	} {
		if !due.IsZero() {
			wait = min(wait, due.Sub(now))
		}
	}
	return max(wait, 0)
}

// sooner returns the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// yield lets whoever reads events see a message before the rest of the turn is done, which nobody waits for: on a busy
// machine readers would wait for it, as a goroutine that is woken runs after the one that wakes it. Once in a turn, as each
// time costs a change of goroutines.
func (e *engine) yield() {
	if !e.yielded {
		e.yielded = true
		runtime.Gosched()
	}
}

func (e *engine) at() At { return At{e.cfg.Now()} }

func (e *engine) publish(ev Event) { e.n.hub.publish(ev) }

func (e *engine) note(format string, args ...any) {
	e.publish(Note{e.at(), fmt.Sprintf(format, args...)})
}

// rekey asks for a new epoch.
func (e *engine) rekey() { e.step(keyagreement.Rekey{}) }

// messageID draws the ID of a content that is not a message of a person.
func (e *engine) messageID() (id wire.MessageID, err error) {
	if _, err = io.ReadFull(e.random, id[:]); err != nil {
		err = fmt.Errorf("drawing an ID: %w", err)
	}
	return id, err
}

// dirty says that a frame session changed: its window is to be on disk soon.
func (e *engine) dirty(s *frame.Session) {
	if s.Dirty() {
		e.ledger.soon()
	}
}
