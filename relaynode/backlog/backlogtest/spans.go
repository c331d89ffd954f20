package backlogtest

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
)

// span is counters from first to last, both included.
type span struct{ first, last uint32 }

// run is a span of one chain.
type run struct {
	chain backlog.Chain
	span
}

// runsOf returns the runs that a batch's frames make up, chain by chain.
func runsOf(signer peer.ID, frames []wire.FrameHeader) (runs []run) {
	frames = slices.Clone(frames)
	chain := func(f wire.FrameHeader) backlog.Chain {
		return backlog.Chain{Prefix: f.Prefix, Sender: f.Sender, Start: f.Start, Signer: signer}
	}
	slices.SortFunc(frames, func(a, b wire.FrameHeader) int {
		return cmp.Or(compare(chain(a), chain(b)), cmp.Compare(a.Counter, b.Counter))
	})
	for _, f := range frames {
		last := len(runs) - 1
		if last >= 0 && runs[last].chain == chain(f) && f.Counter <= runs[last].last+1 {
			runs[last].last = max(runs[last].last, f.Counter)
			continue
		}
		runs = append(runs, run{chain(f), span{f.Counter, f.Counter}})
	}
	return runs
}

// without returns what is left of s when held, which is sorted, is taken out of it.
func (s span) without(held []span) (left []span) {
	next := int64(s.first)
	for _, h := range held {
		if !s.meets(h) {
			continue
		}
		if int64(h.first) > next {
			left = append(left, span{uint32(next), h.first - 1})
		}
		next = int64(h.last) + 1
	}
	if next <= int64(s.last) {
		left = append(left, span{uint32(next), s.last})
	}
	return left
}

// meets says whether two spans have a counter in common.
func (s span) meets(o span) bool { return s.first <= o.last && o.first <= s.last }

// parts returns what of a range is left when the spans held are taken out.
func parts(r backlog.Range, held []span) (left []backlog.Range) {
	for _, s := range (span{r.From, r.To}).without(held) {
		left = append(left, backlog.Range{Chain: r.Chain, From: s.first, To: s.last})
	}
	return left
}

// compare orders chains by prefix, sender, start and signer.
func compare(a, b backlog.Chain) int {
	return cmp.Or(bytes.Compare(a.Prefix[:], b.Prefix[:]), cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Start, b.Start), cmp.Compare(a.Signer, b.Signer))
}

// came returns when a batch came first.
func came(e backlog.Entry, now time.Time) time.Time {
	if e.At.IsZero() || e.At.After(now) {
		return now
	}
	return e.At
}

// page gathers an answer of bounded size: each batch once, at least one.
type page struct {
	max, size int
	seen      map[int64]bool
	copies    []backlog.Copy
	more      bool // something was left out
}

// add takes a batch in and reports whether the page goes on.
func (p *page) add(k *entry) bool {
	switch {
	case p.seen[k.seq]:
		return true
	case len(p.copies) > 0 && p.size+len(k.Data) > p.max:
		p.more = true
		return false
	}
	p.seen[k.seq] = true
	p.size += len(k.Data)
	p.copies = append(p.copies, backlog.Copy{Data: bytes.Clone(k.Data), At: k.at})
	return true
}

// batches returns the page without times.
func (p *page) batches() (all [][]byte) {
	for _, c := range p.copies {
		all = append(all, c.Data)
	}
	return all
}
