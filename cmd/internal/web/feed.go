package web

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Implementation constants of a Feed. All arbitrary within a factor of a few.
const (
	maxFeedBytes  = 8 << 20          // bytes that a feed keeps, whatever the number of its events
	maxClients    = 16               // readers of one feed at a time
	clientTimeout = 10 * time.Second // for one write to a reader; who takes longer is dropped
	heartbeat     = 15 * time.Second // distance of signs of life on a quiet feed
	retryAfter    = time.Second      // what browsers wait before they come again
	takeEvents    = 64               // events that one write takes at most
)

// Feed is a numbered stream of events for pages, over SSE. It keeps the latest events, so that a page that comes back
// goes on where it was; one that was away for longer is told to fetch the state again (an event named "reset"). Readers
// have a place in what the feed keeps and no queue, so a slow one costs nothing and nobody waits for it.
//
// An event is {name, JSON}. Its number is "<feed>-<n>": the first part is random for each Feed, so that a number from
// before a restart is recognized. The number of the latest event belongs into every state that a page fetches; it then
// asks for the events after it (the query's "after", or Last-Event-ID, which wins).
type Feed struct {
	name string // the first part of every number
	keep int    // events

	mu      sync.Mutex
	events  []event       // guarded by mu; the latest, oldest first
	bytes   int           // guarded by mu; of events
	last    uint64        // guarded by mu; number of the latest event
	changed chan struct{} // guarded by mu; closed and replaced when there is news
	clients int           // guarded by mu
	ever    bool          // guarded by mu; whether there was a reader
}

type event struct {
	n    uint64
	name string
	data []byte
}

// NewFeed returns a feed that keeps the latest events, as many as keep says.
func NewFeed(keep int) *Feed {
	return &Feed{name: hex.EncodeToString(randomBytes()[:4]), keep: max(1, keep), changed: make(chan struct{})}
}

// Publish adds an event. The name is a short word; "reset" is the feed's own. It returns an error when v is not JSON.
func (f *Feed) Publish(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.events = append(f.events, event{f.last, name, data})
	f.bytes += len(data)
	drop := 0
	for len(f.events)-drop > f.keep || f.bytes > maxFeedBytes && len(f.events)-drop > 1 {
		f.bytes -= len(f.events[drop].data)
		f.events[drop] = event{} // the array stays for a while
		drop++
	}
	f.events = f.events[drop:]
	f.announce()
	return nil
}

// announce wakes everybody who waits; the caller holds mu.
func (f *Feed) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Last returns the number of the latest event.
func (f *Feed) Last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.number(f.last)
}

func (f *Feed) number(n uint64) string { return f.name + "-" + strconv.FormatUint(n, 10) }

// Clients returns how many readers there are: pages that are open.
func (f *Feed) Clients() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clients
}

// Gone waits until there was a reader and then none for as long as grace says, which a reload does not take: until the
// person has closed the window. It returns ctx's error when that ends first.
func (f *Feed) Gone(ctx context.Context, grace time.Duration) error {
	for {
		f.mu.Lock()
		changed, away := f.changed, f.ever && f.clients == 0
		f.mu.Unlock()
		var over <-chan time.Time
		if away {
			over = time.After(grace)
		}
		if done, err := f.awayFor(ctx, changed, over); done {
			return err
		}
	}
}

// awayFor waits for the end of the grace time, which a new reader ends early and an event does not.
func (f *Feed) awayFor(ctx context.Context, changed <-chan struct{}, over <-chan time.Time) (done bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-over:
			return true, nil
		case <-changed:
		}
		f.mu.Lock()
		next, away := f.changed, f.ever && f.clients == 0
		f.mu.Unlock()
		if away != (over != nil) {
			return false, nil
		}
		changed = next
	}
}

// enter counts a reader in and returns its place: after the event that it names, or before nothing at all when it names
// none or one that is not known (reset).
func (f *Feed) enter(after string) (place uint64, reset, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.clients >= maxClients {
		return 0, false, false
	}
	f.clients++
	f.ever = true
	f.announce()
	name, number, _ := strings.Cut(after, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if name != f.name || err != nil || n > f.last {
		return f.last, true, true
	}
	return n, false, true
}

func (f *Feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients--
	f.announce()
}

// after returns the next events after a place, or the channel that says when there are some. Reset says that the feed no
// longer has all of them; the place is then the latest.
func (f *Feed) after(place uint64) (events []event, reset bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	missing := f.last - place
	if missing > uint64(len(f.events)) {
		return nil, true, f.changed
	}
	events = f.events[uint64(len(f.events))-missing:]
	return append([]event(nil), events[:min(len(events), takeEvents)]...), false, f.changed
}

// ServeHTTP implements http.Handler: it writes events until the reader goes or the server ends.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	place, reset, ok := f.enter(after)
	if !ok {
		http.Error(w, "Too many windows are open.", http.StatusServiceUnavailable)
		return
	}
	defer f.leave()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	out := reader{w: w, c: http.NewResponseController(w)}
	if out.write(fmt.Sprintf("retry: %d\n\n", retryAfter.Milliseconds())) != nil {
		return
	}
	f.follow(r.Context(), &out, place, reset)
}

// follow writes events to one reader until it goes.
func (f *Feed) follow(ctx context.Context, out *reader, place uint64, reset bool) {
	quiet := time.NewTicker(heartbeat)
	defer quiet.Stop()
	for ctx.Err() == nil {
		events, lost, changed := f.after(place)
		if reset || lost {
			f.mu.Lock()
			place = f.last
			f.mu.Unlock()
			reset = false
			events = []event{{place, "reset", []byte("{}")}}
		}
		if len(events) > 0 {
			place = events[len(events)-1].n
			if out.write(f.text(events)) != nil {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-quiet.C:
			if out.write(": alive\n\n") != nil {
				return
			}
		}
	}
}

// text is how events go over the line. JSON has no line breaks, so that every event has one line of data.
func (f *Feed) text(events []event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "id: %s\nevent: %s\ndata: %s\n\n", f.number(e.n), e.name, e.data)
	}
	return b.String()
}

// reader is one page at the other end.
type reader struct {
	w http.ResponseWriter
	c *http.ResponseController
}

// write writes and flushes, within a reader's time.
func (r *reader) write(s string) error {
	_ = r.c.SetWriteDeadline(time.Now().Add(clientTimeout)) // a recorder in a test has none
	if _, err := r.w.Write([]byte(s)); err != nil {
		return err
	}
	return r.c.Flush()
}
