package doctor

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"slices"
	"time"

	"conclave/node"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/host"
)

// Hop is one thing that has to work.
type Hop string

// The hops, in their order.
const (
	Clock       Hop = "clock"
	Name        Hop = "name"
	Port        Hop = "port"
	Transport   Hop = "transport"
	Identity    Hop = "identity"
	Certificate Hop = "certificate"
	Roster      Hop = "roster"
	Reservation Hop = "reservation"
	Topic       Hop = "topic"
	Epoch       Hop = "epoch"
	Peer        Hop = "peer"
)

// Hops lists all hops in their order.
var Hops = []Hop{Clock, Name, Port, Transport, Identity, Certificate, Roster, Reservation, Topic, Epoch, Peer}

// State is how a hop is.
type State string

// The states of a hop.
const (
	OK      State = "ok"
	Warn    State = "warn" // not well, and the member works without it
	Fail    State = "FAIL"
	Skipped State = "skip" // not looked at
)

// Finding is what is known of one hop, or of one address or member in it.
type Finding struct {
	Hop   Hop    `json:"hop"`
	State State  `json:"state"`
	What  string `json:"what"`           // what was seen
	Hint  string `json:"hint,omitempty"` // what to do about it
}

// Options change how long the doctor waits.
type Options struct {
	// Patience is how long one answer is waited for. Default 5 s.
	Patience time.Duration
	// Found is told each finding at once. Default: nobody is.
	Found func(Finding)
}

// examination is one call of Run.
type examination struct {
	// Static.
	cfg  node.Config
	opts Options
	now  func() time.Time
	self wire.Role

	host  host.Host
	found []Finding
}

// Run looks at every hop of the member that cfg describes and returns what it found. Fields of cfg that only a member
// that runs needs may be empty.
func Run(ctx context.Context, cfg node.Config, opts Options) []Finding {
	if opts.Patience <= 0 {
		opts.Patience = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &examination{cfg: cfg, opts: opts, now: cfg.Now}
	e.run(ctx)
	slices.SortStableFunc(e.found, func(a, b Finding) int { return slices.Index(Hops, a.Hop) - slices.Index(Hops, b.Hop) })
	return e.found
}

func (e *examination) run(ctx context.Context) {
	if !e.papers() {
		e.skipFrom(Clock, "this member's papers are not in order")
		return
	}
	if !e.relays(ctx) {
		return
	}
	e.group(ctx)
}

// say notes a finding.
func (e *examination) say(hop Hop, state State, what, hint string) {
	f := Finding{hop, state, what, hint}
	e.found = append(e.found, f)
	if e.opts.Found != nil {
		e.opts.Found(f)
	}
}

func (e *examination) ok(hop Hop, what string)         { e.say(hop, OK, what, "") }
func (e *examination) fail(hop Hop, what, hint string) { e.say(hop, Fail, what, hint) }

// skipFrom says of every hop from this one on, of which nothing is known, why it is not looked at.
func (e *examination) skipFrom(first Hop, why string) {
	for _, hop := range Hops[slices.Index(Hops, first):] {
		if !slices.ContainsFunc(e.found, func(f Finding) bool { return f.Hop == hop }) {
			e.say(hop, Skipped, why, "")
		}
	}
}

// Broken returns the hops that failed, each once.
func Broken(found []Finding) []Hop {
	var all []Hop
	for _, f := range found {
		if f.State == Fail && !slices.Contains(all, f.Hop) {
			all = append(all, f.Hop)
		}
	}
	return all
}

// identityOf returns the public half of the member's key.
func identityOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }
