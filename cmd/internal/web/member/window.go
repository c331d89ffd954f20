package member

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"conclave/cmd/internal/web"
	"conclave/node"
	"conclave/overlay/wire"
)

// Implementation constants. All arbitrary within a factor of a few.
const (
	keepEvents  = 4096                    // that a page may be behind before it fetches the state again
	maxTrace    = 600                     // steps of what happens
	maxKeys     = 2048                    // of messages that the page sent, to know a repetition
	settleTime  = 40 * time.Millisecond   // changes that come together make one status
	statusEvery = 10 * time.Second        // and one now and then, for what tells nothing (round trips, dates)
	askTimeout  = 5 * time.Second         // for the node to answer
	greetWait   = 1500 * time.Millisecond // after a reconnect, until those who are not back have left
)

// Node is what a window needs of a member. *node.Node is one.
type Node interface {
	Send(text string) (wire.MessageID, error)
	Retry(ctx context.Context) error
	Rekey(ctx context.Context) error
	Who(ctx context.Context) (node.Who, error)
	Inspect(ctx context.Context) (node.Inspection, error)
	Verifications(ctx context.Context) ([]node.Verification, error)
	Verify(ctx context.Context, role wire.Role, code string, right bool) error
}

// Config is what a Window is made of.
type Config struct {
	// Node is the member, and Self its role.
	Node Node
	Self wire.Role
	// Lines is where the log's lines are kept for the drawer; nil shows none.
	Lines *web.Log
	// Log gets what goes wrong with the window itself. Nil discards it.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Window is what one member's page shows. Its methods may be called from any goroutine.
type Window struct {
	// static after New
	cfg   Config
	feed  *web.Feed
	dirty chan struct{} // one token while the status may have changed

	mu       sync.Mutex
	timeline timeline
	trace    []Trace // oldest first
	traced   uint64
	status   Status
	shown    []byte          // the status as it was published last
	ready    map[string]bool // relay nodes with a working link
	readyAt  time.Time
	wasReady bool               // the timeline says that there is a connection
	here     map[wire.Role]bool // who is here, as the timeline says
	keys     map[string]string  // the message of each attempt to send
	keyRing  []string
	failures int
}

// New returns a window that shows nothing yet.
func New(cfg Config) *Window {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Window{
		cfg: cfg, feed: web.NewFeed(keepEvents), dirty: make(chan struct{}, 1), timeline: newTimeline(),
		status: Status{Self: cfg.Self, Connection: Connection{State: "wait", Words: "Starting"}, Key: Key{Words: "No key yet"}},
		ready:  make(map[string]bool), here: make(map[wire.Role]bool), keys: make(map[string]string),
	}
}

// Feed is the window's feed: it knows whether any page is open.
func (w *Window) Feed() *web.Feed { return w.feed }

// Run keeps the head of the page up to date until ctx ends.
func (w *Window) Run(ctx context.Context) {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		w.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			continue
		case <-w.dirty:
		}
		select { // what comes together is shown together
		case <-time.After(settleTime):
		case <-ctx.Done():
			return
		}
	}
}

// changed says that the status has to be looked at.
func (w *Window) changed() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// refresh asks the node how things stand and publishes what is new.
func (w *Window) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	who, err := w.cfg.Node.Who(ctx)
	if err != nil {
		return // it is ending, or busy; the next change asks again
	}
	codes, err := w.cfg.Node.Verifications(ctx)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = statusOf(who, codes, w.cfg.Now())
	w.reconcile(who)
	w.publishStatus()
}

// publishStatus tells the pages about the status if it says something new; the caller holds mu.
func (w *Window) publishStatus() {
	text, err := json.Marshal(w.status)
	if err != nil || bytes.Equal(text, w.shown) {
		return
	}
	w.shown = text
	w.publish("status", w.status)
}

// publish puts something on the feed; the caller holds mu, so that the feed's order is that of the state.
func (w *Window) publish(name string, v any) {
	if err := w.feed.Publish(name, v); err != nil {
		w.cfg.Log.Error("telling the window", "event", name, "err", err)
	}
}

// add puts an entry into the timeline; the caller holds mu.
func (w *Window) add(e *Entry) {
	w.timeline.add(e)
	w.publish("entry", e)
}

// note puts a quiet line into the timeline; the caller holds mu.
func (w *Window) note(at time.Time, tone, text, detail string) {
	w.add(&Entry{Kind: kindNote, Time: at, Tone: tone, Text: text, Detail: detail})
}

// State is all that a page shows at first.
type State struct {
	Last    string  `json:"last"` // the feed's place
	Status  Status  `json:"status"`
	Entries []Entry `json:"entries"`
	More    bool    `json:"more"` // there are earlier entries
	Dropped bool    `json:"dropped"`
	Trace   []Trace `json:"trace,omitempty"`
}

// state returns what a page shows at first: everything belongs to one moment.
func (w *Window) state(entries int) State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := State{Last: w.feed.Last(), Status: w.status, Dropped: w.timeline.dropped}
	s.Entries, s.More = w.timeline.page(0, entries)
	return s
}
