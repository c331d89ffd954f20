package node

import "slices"

// flush is somebody who waits until everything up to a place is acknowledged.
type flush struct {
	upTo int64
	done func()
}

// whenFlushed calls f once everything that waits now is acknowledged.
func (e *engine) whenFlushed(f func()) {
	o := &e.outbox
	o.settle()
	upTo := int64(0)
	for _, p := range o.open {
		upTo = max(upTo, p.Seq)
	}
	o.flushes = append(o.flushes, flush{upTo, f})
	o.flushed()
}

// flushed serves those who wait for a flush.
func (o *outbox) flushed() {
	if len(o.flushes) == 0 {
		return
	}
	first := int64(1<<63 - 1)
	for _, p := range o.open {
		first = min(first, p.Seq)
	}
	o.flushes = slices.DeleteFunc(o.flushes, func(f flush) bool {
		if f.upTo >= first {
			return false
		}
		f.done()
		return true
	})
}
