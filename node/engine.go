package node

import (
	"context"
	"fmt"
	"io"
	"time"

	"conclave/node/courier"
	"conclave/node/delivery"
	"conclave/node/keyagreement"
	"conclave/node/keyagreement/event"
	"conclave/node/reach"
	"conclave/node/shelf"
	"conclave/node/state"
	"conclave/node/uplink"
	"conclave/node/verify"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxDrain is how many waiting things are done in one turn of the loop before what has become due is looked at again.
const maxDrain = 64

// engine decides. All its fields and those of its parts belong to the goroutine that runs loop, and before that to New.
type engine struct {
	// static after construction
	n      *Node
	cfg    Config
	self   wire.Role
	random io.Reader

	ctx     context.Context // of loop
	machine *keyagreement.Machine
	roster  *pki.Roster        // as the machine knows it
	first   []event.Output     // of the machine's making; performed when loop begins
	saved   []delivery.Message // of the state file; sent when loop begins

	ledger    *state.Ledger
	sessions  sessions
	delivery  *delivery.Machine
	paused    bool           // a subscription is full: no more messages are opened until it was read
	flushes   map[int]func() // waits for a delivery.Flushed with that reference
	lastFlush int
	courier   *courier.Courier
	keep      *shelf.Keeper            // nil: nothing is kept for others
	near      map[peer.ID]*shelf.Visit // members that can be asked without a relay node
	relays    *uplink.Table
	reach     *reach.Reach
	codes     *verify.Book
}

// newEngine makes the engine from what the state file holds.
func newEngine(n *Node) (*engine, error) {
	loaded, err := n.state.Load(context.Background())
	if err != nil {
		return nil, err
	}
	e := &engine{flushes: make(map[int]func()), n: n, cfg: n.cfg, self: n.self.Role, random: n.cfg.Rand, roster: n.cfg.Roster}
	e.sessions = newSessions(e)
	e.ledger = state.NewLedger(n.state, state.LedgerConfig{
		QueueCommit: e.cfg.Timing.QueueCommit, WindowCommit: e.cfg.Timing.WindowCommit, Sessions: e.sessions.checkpoints, Failed: n.commitFailed,
		Post: n.postFunc,
	})
	n.uplink = newUplink(n, uplink.Routes(loaded.Marks))
	e.relays = uplink.NewTable(n.uplink.Addresses)
	e.delivery = e.newDelivery(loaded)
	e.saved = messages(loaded.Outbox)
	e.courier = newCourier(e)
	e.reach = newReach(e)
	e.near = make(map[peer.ID]*shelf.Visit)
	e.keep = newKeeper(e, loaded.Shelf)
	e.codes = verify.New(n.cfg.Group, n.self.Certificate, loaded.Marks)
	n.in.Restore(e.self, loaded.Shown, loaded.Outbox)
	if err := e.sessions.restore(loaded.Sessions); err != nil {
		return nil, err
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
	e.sessions.recall(machine.Inspect())
	_, e.first = e.remember(outs)
	return e.ledger.Begin()
}

// loop works until ctx ends.
func (e *engine) loop(ctx context.Context) {
	e.ctx = ctx
	e.deliver(delivery.Say{Messages: e.saved, OnDisk: true})
	e.saved = nil
	e.lookAtCodes()
	e.perform(e.first)
	e.first = nil
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		e.settle()
		timer.Reset(e.wait())
		select {
		case <-ctx.Done():
		case do := <-e.n.todo:
			do(e)
			e.drain()
		case <-e.n.in.Wake():
		case <-e.n.hub.Resume():
			e.paused = e.n.hub.Paused()
		case <-timer.C:
			e.tick()
		}
	}
}

// drain does what else waits already, so that one turn's settling serves all of it.
func (e *engine) drain() {
	for range maxDrain {
		select {
		case do := <-e.n.todo:
			do(e)
		default:
			return
		}
	}
}

// settle does what a turn gathered: what has become due is sent, asked for, or committed.
func (e *engine) settle() {
	e.settleMessages()
	e.courier.Settle()
	e.keep.Settle()
	e.ledger.Settle()
}

// tick gives everything whose time has come its turn.
func (e *engine) tick() {
	if at, ok := e.machine.Deadline(); ok && !at.After(e.cfg.Now()) {
		e.step(event.Tick{})
	}
	e.courier.Tick()
	e.reach.Tick()
}

// wait returns how long nothing has to be done unless something happens.
func (e *engine) wait() time.Duration {
	wait, now := time.Hour, time.Now()
	if at, ok := e.machine.Deadline(); ok {
		wait = min(wait, at.Sub(e.cfg.Now()))
	}
	for _, due := range []time.Time{
		e.ledger.Deadline(), e.delivery.Deadline(), e.courier.Deadline(), e.keep.Deadline(), e.reach.Deadline(),
	} {
		if !due.IsZero() {
			wait = min(wait, due.Sub(now))
		}
	}
	return max(wait, 0)
}

func (e *engine) at() At { return At{e.cfg.Now()} }

func (e *engine) publish(ev Event) { e.n.hub.Publish(ev) }

func (e *engine) note(format string, args ...any) {
	e.publish(Note{e.at(), fmt.Sprintf(format, args...)})
}

// rekey asks for a new epoch.
func (e *engine) rekey() { e.step(event.Rekey{}) }
