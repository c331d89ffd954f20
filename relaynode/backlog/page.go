package backlog

import (
	"bytes"
	"cmp"
	"time"

	"conclave/overlay/wire"
)

// page gathers an answer of bounded size: each batch once, at least one.
type page struct {
	max    int
	copies []Copy
	more   bool // something was left out

	size int
	seen map[int64]bool
}

// add takes a batch in and reports whether the page goes on.
func (p *page) add(seq int64, data []byte, at time.Time) bool {
	if p.seen[seq] {
		return true
	}
	if len(p.copies) > 0 && p.size+len(data) > p.max {
		p.more = true
		return false
	}
	if p.seen == nil {
		p.seen = map[int64]bool{}
	}
	p.seen[seq] = true
	p.copies = append(p.copies, Copy{bytes.Clone(data), at})
	p.size += len(data)
	return true
}

// batches returns the page without times.
func (p *page) batches() [][]byte {
	var all [][]byte
	for _, c := range p.copies {
		all = append(all, c.Data)
	}
	return all
}

// compare orders chains by prefix, sender, start and signer.
func (c Chain) compare(o Chain) int {
	return cmp.Or(bytes.Compare(c.Prefix[:], o.Prefix[:]), cmp.Compare(c.Sender, o.Sender), cmp.Compare(c.Start, o.Start), cmp.Compare(c.Signer, o.Signer))
}

// Wire returns the head as the session stream carries it, without the signer.
func (h Head) Wire() wire.Head {
	return wire.Head{Prefix: h.Prefix, Sender: h.Sender, Start: h.Start, Low: h.Low, High: h.High}
}
