package frame

import (
	"slices"
)

// chain is the receiving side of one start of one sender.
type chain struct {
	start   uint32
	next    uint32 // the counter whose keys ck gives; all before are opened, skipped or lost
	floor   uint32 // what was skipped below this counter is lost
	ck      key
	skipped []skippedKeys // ascending counters, all below next and none below floor
}

// skippedKeys are the keys of a frame that did not arrive yet.
type skippedKeys struct {
	counter uint32
	keys    messageKeys
}

// find returns the index of the skipped keys of a counter.
func (c *chain) find(counter uint32) (int, bool) {
	return slices.BinarySearchFunc(c.skipped, counter, func(s skippedKeys, n uint32) int {
		return int(int64(s.counter) - int64(n))
	})
}

// remove erases the skipped keys at index i.
func (c *chain) remove(i int) {
	copy(c.skipped[i:], c.skipped[i+1:])
	last := len(c.skipped) - 1
	c.skipped[last] = skippedKeys{}
	c.skipped = c.skipped[:last]
}

// lose erases the n oldest skipped keys; their frames are lost.
func (c *chain) lose(n int) {
	if n <= 0 {
		return
	}
	c.floor = c.skipped[n-1].counter + 1
	kept := copy(c.skipped, c.skipped[n:])
	clear(c.skipped[kept:])
	c.skipped = c.skipped[:kept]
}

// erase overwrites all keys of the chain.
func (c *chain) erase() {
	clear(c.ck[:])
	clear(c.skipped)
	c.skipped = nil
}

// sender is the receiving side of one sender: the root of the first start not seen yet, and the chains of the last
// starts seen.
type sender struct {
	next   uint32 // the start whose chain root gives
	root   key
	chains []*chain // ascending starts, all below next
	wasted uint64   // chain steps spent on forged frames, in this process
}

// chain returns the chain of a start, or nil when it is not open.
func (s *sender) chain(start uint32) *chain {
	i, ok := slices.BinarySearchFunc(s.chains, start, func(c *chain, n uint32) int {
		return int(int64(c.start) - int64(n))
	})
	if !ok {
		return nil
	}
	return s.chains[i]
}

// peek returns the first chain key of a start not seen yet, and changes nothing.
func (s *sender) peek(p *prf, start uint32) key {
	root := s.root
	for n := s.next; n < start; n++ {
		p.expand(&root, &root, labelNextRoot, nil)
	}
	p.expand(&root, &root, labelChain, nil)
	return root
}

// advance steps the root past start and opens a chain for each start on the way, as far as they are kept. Frames of
// those in between may still arrive.
func (s *sender) advance(p *prf, start uint32) {
	for ; s.next <= start; s.next++ {
		if start-s.next < MaxChains {
			c := &chain{start: s.next}
			p.expand(&c.ck, &s.root, labelChain, nil)
			s.chains = append(s.chains, c)
		}
		p.expand(&s.root, &s.root, labelNextRoot, nil)
	}
	for len(s.chains) > MaxChains {
		s.chains[0].erase()
		s.chains = slices.Delete(s.chains, 0, 1)
	}
}

// trim erases the oldest skipped keys beyond what one start, and one sender, may keep.
func (s *sender) trim(c *chain) {
	c.lose(len(c.skipped) - MaxSkipped)
	total := 0
	for _, c := range s.chains {
		total += len(c.skipped)
	}
	for _, c := range s.chains {
		if total <= maxSenderSkipped {
			return
		}
		excess := min(total-maxSenderSkipped, len(c.skipped))
		c.lose(excess)
		total -= excess
	}
}

// erase overwrites all keys of the sender.
func (s *sender) erase() {
	clear(s.root[:])
	for _, c := range s.chains {
		c.erase()
	}
	s.chains = nil
}

// walk is a chain moved on to one counter, apart from the session until the frame proved authentic.
type walk struct {
	ck      key           // the chain behind the counter
	keys    messageKeys   // the counter's keys
	skipped []skippedKeys // keys of the counters on the way, the last MaxSkipped of them
}

// run sets w to the chain key ck, which is of counter from, moved on to counter to.
func (w *walk) run(p *prf, ck *key, from, to uint32) {
	w.ck = *ck
	for n := from; n < to; n++ {
		if to-n > MaxSkipped {
			p.expand(&w.ck, &w.ck, labelStep, nil)
			continue
		}
		w.skipped = append(w.skipped, skippedKeys{counter: n})
		w.step(p, &w.skipped[len(w.skipped)-1].keys)
	}
	w.step(p, &w.keys)
}

// step sets keys to those of the present counter and moves the chain to the next.
func (w *walk) step(p *prf, keys *messageKeys) {
	p.load(&w.ck)
	p.expandLoaded(&keys.aes, labelAES)
	p.expandLoaded(&keys.mac, labelMAC)
	p.expandLoaded(&w.ck, labelStep)
}

// clear overwrites the walk's keys and keeps its memory, unless that has grown.
func (w *walk) clear() {
	w.keys.clear()
	clear(w.ck[:])
	clear(w.skipped)
	w.skipped = w.skipped[:0]
	if cap(w.skipped) > 64 {
		w.skipped = nil
	}
}
