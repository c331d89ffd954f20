package delivery

import (
	"slices"
	"time"

	"conclave/overlay/wire"
)

// publish brings a batch to the relay node, unless it is lost, and from there to everybody.
func (p *actor) publish(data []byte, loss int) {
	w := p.w
	b, err := wire.ParseBatch(data)
	if err != nil {
		w.fail("%s publishes what is no batch: %v", p.role, err)
		return
	}
	id := wire.BatchIDOf(data)
	if !p.up() || w.chance(loss) {
		return
	}
	p.linked(w.some(20*time.Millisecond), func() {
		if !w.known[id] {
			w.known[id] = true
			w.keep(b)
			for _, to := range w.members {
				if to != p && to.m != nil && to.up() && !w.chance(20) {
					to.linked(w.some(60*time.Millisecond), func() { to.step(Received{b}) })
				}
			}
		}
		if !w.chance(5) {
			p.linked(w.some(20*time.Millisecond), func() { p.step(Stored{IDs: []wire.BatchID{id}}) })
		}
	})
}

// keep puts a batch into the backlog, and tells everybody of it.
func (w *world) keep(b wire.Batch) {
	e := entry{batch: b}
	for _, item := range b.Items {
		if h, err := wire.ParseFrameHeader(item); err == nil {
			e.frames = append(e.frames, h)
		}
	}
	w.log = append(w.log, e)
	for _, p := range w.members {
		if p.m != nil && p.up() {
			p.linked(250*time.Millisecond, func() { p.heads([]entry{e}, false) })
		}
	}
}

// heads tells what the backlog holds.
func (p *actor) heads(list []entry, full bool) {
	type key struct {
		prefix wire.Prefix
		sender uint16
		start  uint32
	}
	heads := make(map[key]wire.Head)
	var order []key
	for _, e := range list {
		for _, h := range e.frames {
			k := key{h.Prefix, h.Sender, h.Start}
			head, known := heads[k]
			if !known {
				order = append(order, k)
				head = wire.Head{Prefix: h.Prefix, Sender: h.Sender, Start: h.Start, Low: h.Counter, High: h.Counter, Signer: wire.Signer(e.batch.Sender)}
			}
			head.Low, head.High = min(head.Low, h.Counter), max(head.High, h.Counter)
			heads[k] = head
		}
	}
	in := Heads{Peer: "relay", Full: full}
	for _, k := range order {
		in.List = append(in.List, heads[k])
	}
	p.step(in)
}

// serve answers a request out of the backlog, a few batches at a time.
func (w *world) serve(p *actor, a Ask) {
	if w.hostile {
		w.cheat(p, a)
		return
	}
	if w.chance(5) {
		p.step(FetchRefused{a.Source, a.Fetch.Seq})
		return
	}
	if w.chance(2) {
		return // it never answers
	}
	in := Fetched{Source: a.Source, Seq: a.Fetch.Seq}
	for _, e := range w.log {
		if wire.Signer(e.batch.Sender) != a.Fetch.Signer || !slices.ContainsFunc(e.frames, func(h wire.FrameHeader) bool {
			return h.Prefix == a.Fetch.Prefix && h.Sender == a.Fetch.Sender && h.Start == a.Fetch.Start && h.Counter >= a.Fetch.From && h.Counter <= a.Fetch.To
		}) {
			continue
		}
		if in.More = len(in.Batches) == 3; in.More {
			break
		}
		in.Batches = append(in.Batches, e.batch)
	}
	p.linked(w.some(50*time.Millisecond), func() { p.step(in) })
}

// cheat answers a request with anything but what was asked for, and claims something.
func (w *world) cheat(p *actor, a Ask) {
	claim := wire.Head{Prefix: transcript(1 + w.rand.Uint64N(w.epoch)).Prefix(), High: w.rand.Uint32N(1 << 30), Start: w.rand.Uint32N(4)}
	from := w.members[w.rand.IntN(len(w.members))].role
	claim.Sender, claim.Signer = uint16(slices.Index(abc, from)), wire.Signer(public(from))
	p.step(Heads{Peer: "relay", List: []wire.Head{claim}})
	switch w.rand.IntN(4) {
	case 0:
		p.step(FetchRefused{a.Source, a.Fetch.Seq})
	case 1: // it never answers
	case 2:
		p.step(Fetched{Source: a.Source, Seq: a.Fetch.Seq})
	default: // an old batch, and there would be more
		in := Fetched{Source: a.Source, Seq: a.Fetch.Seq, More: true}
		if len(w.log) > 0 {
			in.Batches = append(in.Batches, w.log[0].batch)
		}
		p.step(in)
	}
}
