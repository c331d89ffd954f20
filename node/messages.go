package node

import (
	"time"

	"conclave/node/delivery"
	"conclave/node/keyagreement/event"
	"conclave/node/shelf"
	"conclave/node/state"
	"conclave/node/uplink"
	"conclave/overlay/batch"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
)

// newDelivery returns what decides about messages.
func (e *engine) newDelivery(loaded *state.Loaded) *delivery.Machine {
	t := e.cfg.Timing
	shown := make([]delivery.Shown, len(loaded.Shown))
	for i, s := range loaded.Shown {
		shown[i] = delivery.Shown(s)
	}
	return delivery.New(delivery.Config{
		Self: e.self, Members: len(e.roster.Members), Shelf: e.cfg.LAN != nil, LeaveMessages: e.cfg.LeaveMessages,
		Shown: shown, MaxShown: state.MaxShown,
		Sign: func(frames [][]byte) ([]byte, error) {
			return batch.Sign(e.cfg.Identity, e.n.topicName, wire.BatchFrames, frames)
		},
		Number: e.relays.Number, Awaits: func(epoch uint64) bool { return e.machine.Awaits(epoch) }, LineTime: uplink.LineTime,
		Rand: e.random, Log: e.cfg.Log,
		Timing: delivery.Timing{
			StoreAfter: t.StoreAfter, AckBase: t.AckBase, AckPerMember: t.AckPerMember, GapGrace: t.GapGrace, GapGiveUp: t.GapGiveUp,
			DoubtAfter: t.DoubtAfter,
		},
	}, time.Now())
}

// deliver gives the delivery of messages one input and does what it answers.
func (e *engine) deliver(in delivery.Input) {
	for _, o := range e.delivery.Step(time.Now(), in) {
		e.carryOut(o)
	}
}

// say hands over what Send left.
func (e *engine) say() {
	if fresh := e.n.in.Take(); len(fresh) > 0 {
		e.deliver(delivery.Say{Messages: messages(fresh)})
	}
}

func messages(list []state.Outgoing) []delivery.Message {
	all := make([]delivery.Message, len(list))
	for i, m := range list {
		all[i] = delivery.Message(m)
	}
	return all
}

// settleMessages has everything done about messages that is due.
func (e *engine) settleMessages() {
	e.say()
	e.paused = e.paused || e.n.hub.Paused() // until a subscription has been read far enough
	e.deliver(delivery.Settle{
		Date: e.cfg.Now(), Reaches: e.n.topic.Reaches(), Relay: e.relays.Ready(), Unheard: e.relays.Unheard(), ScreensFull: e.paused,
	})
	e.n.inFlight.Store(int64(e.delivery.Counts().FlyingBytes))
}

// saveUnsent has what Send took in the last moment written down, to be sent after the next start.
func (e *engine) saveUnsent() {
	e.say()
	e.deliver(delivery.Settle{Date: e.cfg.Now(), ScreensFull: true})
}

// whenFlushed calls f once everything that was sent is acknowledged.
func (e *engine) whenFlushed(f func()) {
	e.say()
	e.lastFlush++
	e.flushes[e.lastFlush] = f
	e.deliver(delivery.Flush{Ref: e.lastFlush})
}

// arrived takes in what came over the topic.
func (e *engine) arrived(b wire.Batch) {
	e.reach.Heard(b.Sender, true)
	e.keep.Received(b, e.relays.Ready())
	if b.Kind == wire.BatchControl {
		e.control(b)
	}
	e.deliver(delivery.Received{Batch: b})
}

// control hands the key agreement what its parts in other members say.
func (e *engine) control(b wire.Batch) {
	for _, item := range b.Items {
		e.step(event.Control{Raw: item})
	}
}

// sourcesAre tells who can be asked for batches: relay nodes and members that are near.
func (e *engine) sourcesAre() {
	var list []delivery.Source
	for _, r := range e.relays.Usable() {
		list = append(list, delivery.Source{ID: string(r.ID), Peer: string(r.ID), Relay: true})
	}
	for id := range e.near {
		list = append(list, delivery.Source{ID: string(id), Peer: string(id), Role: e.roleOf(id)})
	}
	e.deliver(delivery.Sources{List: list})
}

// ask asks a source for what is missing.
func (e *engine) ask(o delivery.Ask) {
	id, asked := peer.ID(o.Source), false
	if v := e.near[id]; v != nil {
		asked = v.Ask(&o.Fetch)
	} else {
		asked = e.relays.Of(id).Ask(&o.Fetch)
	}
	if !asked {
		e.deliver(delivery.NotAsked{Seq: o.Fetch.Seq})
	}
}

// fetched takes in what a source answers. Its batches are verified.
func (e *engine) fetched(from peer.ID, seq uint64, batches []wire.Batch, more bool) {
	e.deliver(delivery.Fetched{Source: string(from), Seq: seq, Batches: batches, More: more})
}

// visited takes in that a member is near, and can be asked for batches.
func (e *engine) visited(v *shelf.Visit) {
	if e.near[v.To] != nil { // what was asked of the one before is asked again
		delete(e.near, v.To)
		e.sourcesAre()
	}
	e.near[v.To] = v
	e.sourcesAre()
}

// carryOut does one thing that the delivery of messages wants done.
func (e *engine) carryOut(o delivery.Output) {
	switch o := o.(type) {
	case delivery.Publish:
		e.publishBatch(o)
	case delivery.Store:
		if e.relays.Offer(&wire.Store{Batches: o.Batches}) {
			e.deliver(delivery.HandedOver{IDs: o.IDs})
		}
	case delivery.Ask:
		e.ask(o)
	case delivery.Keep:
		e.keep.Received(o.Batch, o.Relay)
		if o.Batch.Kind == wire.BatchControl {
			e.control(o.Batch)
		}
	case delivery.Withdraw:
		e.keep.Withdraw(o.ID)
	case delivery.SetAside:
		e.keep.SetAside(o.ID)
	case delivery.SilentTopic:
		if main := e.relays.Main(); main != nil {
			e.n.uplink.Doubt(main.ID)
		}
	case delivery.StartBehind:
		e.step(event.StartBehind(o))
	case delivery.SawBehind:
		e.step(event.SawBehind(o))
	case delivery.Rekey:
		e.step(event.Rekey{})
	case delivery.Flushed:
		e.flushes[o.Ref]()
		delete(e.flushes, o.Ref)
	default:
		e.record(o)
		e.report(o)
	}
}

// publishBatch publishes a batch and keeps it for others.
func (e *engine) publishBatch(o delivery.Publish) {
	if err := e.n.topic.PublishNow(e.ctx, o.Data); err != nil {
		e.cfg.Log.Debug("publishing; the batch goes over the session stream", "err", err)
		e.deliver(delivery.NotPublished{ID: o.ID})
	}
	if e.keep.Sent(o.ID, o.Data) {
		e.deliver(delivery.Shelved{ID: o.ID})
	}
}

// record has on disk what the delivery of messages wants to be there.
func (e *engine) record(o delivery.Output) {
	switch o := o.(type) {
	case delivery.Save:
		e.ledger.Queue(state.Outgoing(o.Message), func() { e.deliver(delivery.Saved{ID: o.Message.ID}) })
	case delivery.Done:
		e.ledger.Done(o.Seq)
		e.n.in.Done(1)
	case delivery.Remember:
		e.ledger.Change().Show(state.Shown(o.Shown))
		e.ledger.Soon()
	case delivery.Commit:
		if o.Now {
			e.ledger.Within(0)
		} else {
			e.ledger.Soon()
		}
	}
}

// report tells screens how messages fare.
func (e *engine) report(o delivery.Output) {
	switch o := o.(type) {
	case delivery.Show:
		e.publish(Message{At: e.at(), From: o.From, ID: o.ID, Text: o.Text, Sent: o.Sent, Epoch: o.Epoch, Late: o.Late})
	case delivery.Gap:
		e.publish(Gap{At: e.at(), From: o.From, Epoch: o.Epoch, Frames: o.Frames})
	case delivery.Queued:
		e.publish(Sent{At: e.at(), ID: o.ID, State: Queued, Text: o.Text})
	case delivery.Sealed:
		e.publish(Sealed{At: e.at(), IDs: o.IDs, Batch: o.Batch, Epoch: o.Epoch, Bytes: o.Bytes, Again: o.Again})
	case delivery.Relayed:
		e.publish(Sent{At: e.at(), ID: o.ID, State: Relayed})
	case delivery.Delivered:
		e.publish(Sent{At: e.at(), ID: o.ID, State: Delivered, By: o.By})
	case delivery.Refused:
		e.publish(Refused{At: e.at(), IDs: o.IDs, Reason: o.Verdict.String()})
		e.publish(Problem{At: e.at(), Text: "the relay node refuses a message: " + o.Verdict.String()})
	}
}
