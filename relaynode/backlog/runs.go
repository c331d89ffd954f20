package backlog

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
)

// span is counters from first to last, both included.
type span struct{ first, last uint32 }

// run is a span of one chain.
type run struct {
	chain Chain
	span
}

// runsOf returns the runs that a batch's frames make up, each counter once, in the order of chains' first appearance.
func runsOf(signer peer.ID, frames []wire.FrameHeader) []run {
	counters := map[Chain][]uint32{}
	var chains []Chain
	for _, f := range frames {
		c := Chain{Prefix: f.Prefix, Sender: f.Sender, Start: f.Start, Signer: signer}
		if counters[c] == nil {
			chains = append(chains, c)
		}
		counters[c] = append(counters[c], f.Counter)
	}
	var runs []run
	for _, c := range chains {
		for _, s := range spansOf(counters[c]) {
			runs = append(runs, run{c, s})
		}
	}
	return runs
}

func spansOf(counters []uint32) []span {
	slices.Sort(counters)
	var spans []span
	for _, n := range slices.Compact(counters) {
		if k := len(spans) - 1; k >= 0 && spans[k].last+1 == n {
			spans[k].last = n
			continue
		}
		spans = append(spans, span{n, n})
	}
	return spans
}

// came returns when a batch came first.
func (e Entry) came(now time.Time) time.Time {
	if e.At.IsZero() || e.At.After(now) {
		return now
	}
	return e.At
}

// parts returns what of a range is left when the spans held are taken out.
func (r Range) parts(held []span) []Range {
	var left []Range
	for _, s := range (span{r.From, r.To}).without(held) {
		left = append(left, Range{r.Chain, s.first, s.last})
	}
	return left
}

// without returns what is left of s when held, which is sorted, is taken out of it.
func (s span) without(held []span) []span {
	var left []span
	first, done := int64(s.first), int64(s.last)
	for _, h := range held {
		if int64(h.last) < first || int64(h.first) > done {
			continue
		}
		if int64(h.first) > first {
			left = append(left, span{uint32(first), h.first - 1})
		}
		first = int64(h.last) + 1
	}
	if first <= done {
		left = append(left, span{uint32(first), uint32(done)})
	}
	return left
}
