package relaynode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"conclave/overlay"
	"conclave/overlay/durable"
	"conclave/overlay/session"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/backlog"
	"conclave/relaynode/door"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/news"
	"conclave/relaynode/pace"
	"conclave/relaynode/peers"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

// ErrClosed is returned by Run when the relay node was closed before.
var ErrClosed = errors.New("the relay node is closed")

// Node is a relay node. New makes it listen, Run makes it serve, Close ends it.
type Node struct {
	// static after construction
	cfg       Config
	log       *slog.Logger
	database  wire.DatabaseID
	started   time.Time
	host      host.Host
	topic     *topic.Handle
	sessions  *overlay.StreamServer
	peers     *peers.Peers // sessions with other relay nodes
	handshake session.Config
	db        *durable.DB
	mail      mailbox.Store
	backlog   backlog.Store
	source    news.Source
	roster    *pki.Membership
	table     *table
	door      *door.Door
	count     *counters
	sight     *observer // nil: nothing is kept for Held
	sweeper   *sweeper
	batches   *batches
	presence  pace.Signal

	life lifetime
}

// New opens the state, listens, and returns a relay node that admits and serves once Run is called. When it returns an
// error nothing is left open.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, fmt.Errorf("configuring the relay node: %w", err)
	}
	n := &Node{
		cfg: cfg, log: cfg.Log,
		roster: pki.NewMembership(cfg.Group, cfg.Roster, cfg.RosterFile), table: newTable(),
		count: newCounters(), presence: pace.NewBell(),
	}
	n.sight, n.started = newSight(cfg.Inspect, n.roleOf, cfg.Now, cfg.Log), cfg.Now()
	n.door = n.newDoor()
	n.life.begin()
	if err := n.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the relay node: %w", err), n.Close())
	}
	return n, nil
}

// open opens, in this order, what Close closes in the opposite one. The state comes first: its lock keeps two relay nodes
// from using one home, and says so before the ports do.
func (n *Node) open() error {
	if err := n.openStores(); err != nil {
		return err
	}
	n.makeParts()
	n.makePeers()
	if err := n.openHost(); err != nil {
		return err
	}
	if err := n.openTopic(); err != nil {
		return err
	}
	n.openSessions()
	n.peers.Open(n.host)
	n.warnExpiry(n.roster.Load())
	return nil
}

func (n *Node) openStores() (err error) {
	schemas, options := []durable.Schema{mailbox.Schema(), backlog.Schema()}, durable.Options{PageSize: mailbox.PageSize}
	if n.cfg.StatePath == "" {
		n.db, err = durable.OpenMemory(schemas, options)
	} else {
		n.db, err = durable.Open(n.cfg.StatePath, schemas, options)
	}
	if err != nil {
		return err
	}
	n.database = n.db.ID()
	n.mail, n.backlog = mailbox.NewSQLite(n.db, n.mailLimits), backlog.NewSQLite(n.db, n.cfg.Limits.Backlog)
	return nil
}

// mailLimits follows the roster's size unless the configuration says otherwise.
func (n *Node) mailLimits() mailbox.Limits {
	if n.cfg.Limits.Mailbox != (mailbox.Limits{}) {
		return n.cfg.Limits.Mailbox
	}
	return mailbox.DefaultLimits(len(n.roster.Load().Members))
}

// growth is how many peers more than today's the limits have room for, so that a roster may grow while we run.
const growth = 16

func (n *Node) size() int {
	r := n.roster.Load()
	return len(r.Members) + len(r.Relays) + growth
}

// makeParts makes what works on the stores.
func (n *Node) makeParts() {
	heads := news.NewHeads(n.backlog)
	n.source = news.Source{Roster: n.roster.Load, Heads: heads}
	n.batches = &batches{
		topicName: topic.Name(n.cfg.Group.ID), roster: n.roster.Load, backlog: n.backlog, heads: heads, sight: n.sight,
		now: n.cfg.Now, log: n.log, count: n.count, refused: n.door.Refused,
		queue: make(chan *backlog.Entry, n.cfg.Limits.AppendQueue), stored: n.tellStored,
	}
	n.sweeper = &sweeper{
		every: n.cfg.Limits.Sweep, mail: n.mail, backlog: n.backlog, heads: heads, admits: n.admits, now: n.cfg.Now, log: n.log,
		former: pace.NewPeers(),
	}
}

func (n *Node) newDoor() *door.Door {
	l := n.cfg.Limits
	return door.New(door.Config{
		Roster: n.roster.Load, Count: n.count.inc, Log: n.log,
		HasSession: func(p peer.ID) bool { return n.table.online(p) || n.peers.Linked(p) },
		Limits:     door.Limits{Admission: l.Admission, Requests: l.Requests, Bytes: l.Bytes, Fetches: l.Fetches},
	})
}

// watchQuiet takes members off the list of those who are present while nothing comes from them.
func (n *Node) watchQuiet(ctx context.Context) error {
	door.WatchQuiet(ctx, n.cfg.Limits.Quiet, n.table.all, n.presence.Ring)
	return nil
}

func (n *Node) openHost() error {
	h, err := overlay.NewHost(overlay.HostConfig{
		Identity: n.cfg.Identity, Listen: n.cfg.Listen, Announce: n.cfg.Announce, Peers: n.size(),
		Relay: &overlay.RelayConfig{ACL: n.door.ACL(), Tracer: n.door.Tracer()}, Log: n.log,
		ListenUDP: n.cfg.ListenUDP,
	})
	if err != nil {
		return err
	}
	n.host = h
	n.door.Watch(h.Network())
	return nil
}

func (n *Node) openTopic() error {
	topic, err := topic.Join(n.life.ctx, n.host, topic.Config{
		Group: n.cfg.Group.ID, Hub: true, Members: n.size(),
		Admit:    n.admits, // defence: topic-admission
		Validate: n.batches.validate, Deliver: n.batches.deliver, Rate: n.cfg.Limits.Topic, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.topic, n.batches.topic = topic, topic
	return nil
}

// sessionService is the name under which the resource manager accounts for session streams.
const sessionService = "conclave.session"

// makePeers makes what speaks with other relay nodes, before the host: whoever connects may need it.
func (n *Node) makePeers() {
	l := n.cfg.Limits
	n.handshake = session.Config{
		Group: n.cfg.Group, Cert: n.cfg.Certificate, Identity: n.cfg.Identity, Roster: n.roster.Load, Now: n.cfg.Now,
		Database: n.database, Nonces: session.NewNonceCache(), Log: n.log, Timeout: n.cfg.Limits.Admission,
		OfferRoster: func(envelope []byte) error { return n.takeRoster(envelope, "hello") },
	}
	n.peers = peers.New(peers.Config{
		Handshake: n.handshake, Roster: n.roster.Load, Known: n.cfg.Peers, Via: n.cfg.Via, Members: n.table, Batches: n.batches,
		Mail: n.mail, Backlog: n.backlog, Door: n.door, News: n.source, TakeRoster: n.offeredRoster, Presence: n.presence.Ring,
		Closing: n.life.ctx, Count: n.count.add, Now: n.cfg.Now, Log: n.log,
		Limits: peers.Limits{
			Admission: l.Admission, Send: l.Send, Heads: l.Heads, MailWindow: l.MailWindow, MailPage: l.MailPage,
			Streams: 4 * n.size(), Backlog: l.Backlog,
		},
	})
}

func (n *Node) runPeers(ctx context.Context) error {
	n.peers.Run(ctx)
	return nil
}

func (n *Node) openSessions() {
	limits := overlay.StreamLimits{
		Service: sessionService, Memory: wire.MaxSessionMessage, Deadline: n.cfg.Limits.Admission, Streams: 4 * n.size(),
	}
	n.sessions = overlay.HandleStream(n.host, overlay.SessionProtocol, limits, n.serveSession, n.log)
}

// Run serves until ctx ends or Close is called, then closes the relay node, and returns nil unless something failed.
func (n *Node) Run(ctx context.Context) error {
	if !n.life.enter() {
		return ErrClosed
	}
	err := n.loop(ctx)
	n.life.leave()
	return errors.Join(err, n.Close())
}

func (n *Node) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.life.ctx, cancel)()
	group, ctx := errgroup.WithContext(ctx)
	parts := []func(context.Context) error{
		n.batches.run, n.pushHeads, n.pushPresence, n.sweeper.run, n.watchQuiet, n.runPeers,
		func(ctx context.Context) error { return announce(ctx, n.cfg, n.host, n.admits) },
	}
	for _, part := range parts {
		group.Go(func() error { return part(ctx) })
	}
	return group.Wait()
}

// Close ends every session, closes everything and returns when all is quiet. It may be called more than once.
func (n *Node) Close() error { return n.life.end(n.close) }

func (n *Node) close() error {
	var errs []error
	if n.peers != nil {
		n.peers.Close()
	}
	if n.sessions != nil {
		n.sessions.Close()
	}
	if n.topic != nil {
		errs = append(errs, n.topic.Close())
	}
	n.door.Close()
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	return errors.Join(errs...)
}
