package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"conclave/node"
	"conclave/overlay"
	"conclave/overlay/durable"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// group runs the member and looks at what it does together with the others.
func (e *examination) group(ctx context.Context) {
	cfg := e.cfg
	cfg.LeaveMessages, cfg.LAN, cfg.DialOnly, cfg.Listen = true, nil, true, nil
	n, err := node.New(cfg)
	if errors.Is(err, durable.ErrLocked) {
		e.skipFrom(Topic, "this member runs on this machine: ask it with /who")
		return
	}
	if err != nil {
		e.fail(Epoch, "this member's state cannot be used: "+err.Error(), "see what go run ./cmd/node says")
		e.skipFrom(Topic, "this member does not start")
		return
	}
	events := n.Subscribe()
	ctx, cancel := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	defer func() { cancel(); <-ran; _ = n.Close() }()
	defer events.Close()

	w := &watch{e: e, n: n, events: events}
	if !w.topic(ctx) {
		e.skipFrom(Epoch, "the topic does not carry")
		return
	}
	w.epoch(ctx)
	w.peers(ctx)
}

// watch follows a member that runs.
type watch struct {
	e      *examination
	n      *node.Node
	events *node.Subscription
	link   node.Link // the last
	relay  peer.ID   // that is ready
	using  bool
	here   map[string]bool
	keys   map[string]node.SessionKey
	last   node.SessionKey
}

// until follows events until ok holds or patience ends, and reports which.
func (w *watch) until(ctx context.Context, patience time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !ok() {
		event, more := w.events.Next(ctx)
		if !more {
			return ok()
		}
		switch event := event.(type) {
		case node.Link:
			w.link = event
			if event.State == node.Ready {
				w.relay = event.Relay
			}
		case node.SessionKey:
			if w.keys == nil {
				w.keys = make(map[string]node.SessionKey)
			}
			w.keys[string(event.Transcript[:])] = event
		case node.Using:
			w.using, w.last = true, w.keys[string(event.Transcript[:])]
		case node.Held:
			w.using = false
		case node.Peer:
			if w.here == nil {
				w.here = make(map[string]bool)
			}
			w.here[string(event.Role)] = event.Online
		}
	}
	return true
}

func (w *watch) topic(ctx context.Context) bool {
	if w.until(ctx, 2*w.e.opts.Patience, func() bool { return w.relay != "" }) {
		w.e.ok(Topic, "the relay node carries it")
		return true
	}
	what := "the relay node takes this member's session but does not carry the group's topic"
	if w.link.Reason != "" {
		what += ": " + w.link.Reason
	}
	w.e.fail(Topic, what, "look at the relay node's log; restart it with the newest roster")
	return false
}

func (w *watch) epoch(ctx context.Context) {
	e := w.e
	if w.until(ctx, e.opts.Patience, func() bool { return w.using }) {
		var by []string
		for _, role := range w.last.Contributors {
			by = append(by, string(role))
		}
		e.ok(Epoch, fmt.Sprintf("Kabc = %s, of %s", w.last.Fingerprint, strings.Join(by, ", ")))
		return
	}
	who, err := w.n.Who(ctx)
	if err != nil {
		e.fail(Epoch, "there is no key, and the member does not say why: "+err.Error(), "")
		return
	}
	var here, away []string
	for _, m := range who.Members {
		switch {
		case m.Role == who.Self:
		case m.Online:
			here = append(here, string(m.Role))
		default:
			away = append(away, string(m.Role))
		}
	}
	if len(here) == 0 {
		e.fail(Epoch, "there is no key, because nobody else is there: "+strings.Join(away, ", ")+" away", "a first key takes two members: ask one of them to start, with the same relay node")
		return
	}
	e.fail(Epoch, "there is no key although "+strings.Join(here, ", ")+" is there", "let the others run this doctor too: the shares of one of them do not come through")
}

// peers tries to reach each member that is there, over a circuit.
func (w *watch) peers(ctx context.Context) {
	e := w.e
	// Who is there is told a moment after the session begins.
	w.until(ctx, min(e.opts.Patience, 2*time.Second), func() bool { return len(w.here) >= len(e.cfg.Roster.Members)-1 })
	who, err := w.n.Who(ctx)
	if err != nil {
		e.say(Peer, Skipped, err.Error(), "")
		return
	}
	h, err := overlay.NewHost(overlay.HostConfig{Identity: e.cfg.Identity, Peers: 2 * len(who.Members), Log: e.cfg.Log, ListenUDP: e.cfg.ListenUDP})
	if err != nil {
		e.say(Peer, Skipped, err.Error(), "")
		return
	}
	defer h.Close()
	_, addrs, _ := e.relayAddrs()
	for _, m := range who.Members {
		member, known := e.cfg.Roster.Member(m.Role)
		switch {
		case m.Role == who.Self || !known:
		case !m.Online:
			e.say(Peer, Skipped, string(m.Role)+" is away", "")
		default:
			e.reach(ctx, h, addrs[w.relay], string(m.Role), member.Peer)
		}
	}
}

// reach connects to a member over the relay node.
func (e *examination) reach(ctx context.Context, h host.Host, relay []ma.Multiaddr, role string, to peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Patience)
	defer cancel()
	var circuits []ma.Multiaddr
	for _, a := range relay {
		if c, err := overlay.CircuitAddr(a); err == nil {
			circuits = append(circuits, c)
		}
	}
	err := overlay.Connect(ctx, h, peer.AddrInfo{ID: to, Addrs: circuits})
	if err == nil {
		e.ok(Peer, role+" is reached through the relay node")
		return
	}
	what, hint := role+" is said to be there and does not answer: "+plainly(err), "let "+role+" run this doctor; messages and shares come through the relay node meanwhile"
	if cause, _ := overlay.CauseOf(err); cause == overlay.CauseNoCircuit {
		what = role + " is said to be there, and has no slot at the relay node"
	}
	e.fail(Peer, what, hint)
}
