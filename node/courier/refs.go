package courier

// maxRefs bounds the inputs that wait to be settled. Arbitrary: more than a relay node and all circuits together may
// have on the way.
const maxRefs = 1 << 16

// refs are the inputs whose carrier waits to hear that no second delivery is needed.
type refs struct {
	last    uint64
	waiting map[uint64]func()
}

func newRefs() refs { return refs{waiting: make(map[uint64]func())} }

// add returns a reference whose settling calls f, or 0 when too many are waiting: the carrier then delivers again.
func (r *refs) add(f func()) uint64 {
	if len(r.waiting) >= maxRefs {
		return 0
	}
	r.last++
	r.waiting[r.last] = f
	return r.last
}

func (r *refs) settle(ref uint64) {
	if f, ok := r.waiting[ref]; ok {
		delete(r.waiting, ref)
		f()
	}
}

// drop forgets references whose carrier is gone.
func (r *refs) drop(list ...uint64) {
	for _, ref := range list {
		delete(r.waiting, ref)
	}
}

// Settled says that the input with that reference is not needed again: its carrier hears so.
func (c *Courier) Settled(ref uint64) { c.refs.settle(ref) }
