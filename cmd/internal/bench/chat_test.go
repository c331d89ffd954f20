package bench

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	payload = 256         // bytes of every text
	patient = time.Minute // for anything that should take a few seconds
)

// chat is what both sides of a comparison can do: some members around one hub.
type chat interface {
	size() int
	send(ctx context.Context, from int, text string) error
	// receive returns the next text of another member that reaches this one.
	receive(ctx context.Context, member int) (string, error)
	// settle returns when what was sent has no consequences any more.
	settle(ctx context.Context) error
	// close ends it; a second close does nothing.
	close() error
}

// side makes one side of a comparison.
type side func(b testing.TB, members int) chat

// alone makes a side, has f use it, and closes it. What one side keeps (raw gossipsub a hash of every message for two
// minutes) would be in the way of the other: both have one heap in this process, and one garbage collector.
func alone(b testing.TB, members int, begin side, f func(chat) error) error {
	c := begin(b, members)
	err := errors.Join(f(c), c.close())
	runtime.GC()
	return err
}

// plan is a number of texts: count from first on, the i-th of them sent by member i modulo senders.
type plan struct{ first, count, senders int }

// text makes the i-th text: its number in hex, filled up to the payload's size.
func text(i int) string {
	var data [payload / 2]byte
	binary.BigEndian.PutUint64(data[:], uint64(i))
	return hex.EncodeToString(data[:])
}

// index is the number of a text, or -1.
func index(text string) int {
	if len(text) != payload {
		return -1
	}
	data, err := hex.DecodeString(text[:16])
	if err != nil {
		return -1
	}
	return int(binary.BigEndian.Uint64(data))
}

// watch receives at every member until each has all texts of the others, and calls seen for each delivery.
func (p plan) watch(ctx context.Context, c chat, seen func(index int)) error {
	var group sync.WaitGroup
	errs := make([]error, c.size())
	for member := range c.size() {
		group.Go(func() { errs[member] = p.follow(ctx, c, member, seen) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// follow receives at one member, which must get each text of the others once, and those of one sender in their order.
func (p plan) follow(ctx context.Context, c chat, member int, seen func(index int)) error {
	next := make([]int, p.senders) // the next text of each sender
	missing := 0
	for i := p.first + p.count - 1; i >= p.first; i-- {
		next[i%p.senders] = i
		if i%p.senders != member {
			missing++
		}
	}
	for missing > 0 {
		s, err := c.receive(ctx, member)
		if err != nil {
			return fmt.Errorf("member %d misses %d texts: %w", member, missing, err)
		}
		i := index(s)
		if i < p.first || i >= p.first+p.count {
			return fmt.Errorf("member %d got text %d, which nobody sent", member, i)
		}
		if want := next[i%p.senders]; i != want {
			return fmt.Errorf("member %d got text %d and not %d: one is lost, repeated or late", member, i, want)
		}
		next[i%p.senders] += p.senders
		missing--
		seen(i)
	}
	return nil
}

// journey is what became of one text.
type journey struct {
	sent time.Time
	took []time.Duration // by each delivery
}

// arrived is when the last delivery was made.
func (j journey) arrived() time.Time { return j.sent.Add(slices.Max(j.took)) }

// latencies is how long each delivery of all texts took.
func latencies(journeys []journey) (all []time.Duration) {
	for _, j := range journeys {
		all = append(all, j.took...)
	}
	return all
}

// paced sends the plan's texts with a gap between any two and returns how long each delivery took.
func (p plan) paced(ctx context.Context, c chat, gap time.Duration) ([]journey, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.count)*gap+patient)
	defer cancel()
	journeys := make([]journey, p.count)
	var mu sync.Mutex // of journeys
	result := make(chan error, 1)
	go func() {
		result <- p.watch(ctx, c, func(i int) {
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			j := &journeys[i-p.first]
			j.took = append(j.took, now.Sub(j.sent))
		})
	}()
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for i := p.first; i < p.first+p.count; i++ {
		<-tick.C
		mu.Lock()
		journeys[i-p.first].sent = time.Now()
		mu.Unlock()
		if err := c.send(ctx, i%p.senders, text(i)); err != nil {
			return nil, fmt.Errorf("sending: %w", err)
		}
	}
	err := <-result
	return journeys, err
}

// window is how many texts may be on their way where a side has no brake of its own: enough to keep all queues busy, too
// few to overflow any. Raw gossipsub loses what its queues of 4,096 do not hold.
const window = 1000

// burst has every sender send its texts as fast as it can, and returns how long it took until each member had all texts
// of the others.
func (p plan) burst(ctx context.Context, c chat, brake bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patient)
	defer cancel()
	var sent, delivered atomic.Int64
	wake := make(chan struct{}, 1)
	start := time.Now()
	result := make(chan error, 1)
	go func() {
		result <- p.watch(ctx, c, func(int) {
			delivered.Add(1)
			select {
			case wake <- struct{}{}:
			default:
			}
		})
	}()
	others := int64(c.size() - 1)
	send := func(sender int) error {
		for i := p.first; i < p.first+p.count; i++ {
			if i%p.senders != sender {
				continue
			}
			for brake && sent.Load()-delivered.Load()/others > window {
				select {
				case <-wake:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			sent.Add(1)
			if err := c.send(ctx, sender, text(i)); err != nil {
				return fmt.Errorf("sending: %w", err)
			}
		}
		return nil
	}
	var group sync.WaitGroup
	errs := make([]error, p.senders)
	for sender := range p.senders {
		group.Go(func() { errs[sender] = send(sender) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	err := <-result
	return time.Since(start), err
}
