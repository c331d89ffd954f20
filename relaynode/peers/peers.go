package peers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/backlog"
	"conclave/relaynode/door"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/news"
	"conclave/relaynode/pace"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// service is the name under which the resource manager accounts for streams between relay nodes.
	service = "conclave.peer"
	// redialMin and redialMax bound the wait before a relay node is dialled again. Arbitrary.
	redialMin = 200 * time.Millisecond
	redialMax = 4 * time.Second
	// ping and silence are how soon a relay node that is gone without a word is noticed.
	ping    = 3 * time.Second
	silence = 9 * time.Second
	// youngLink is how long the better one of two sessions that were begun at once keeps its place. Arbitrary.
	youngLink = 5 * time.Second
	// viaRetry is the wait after a circuit slot was refused.
	viaRetry = 10 * time.Second
)

// Names under which refusals and drops are counted.
const (
	refusedHandshake = "peering-refused"     // a session between relay nodes that ended before it began
	dropClaims       = "peer-heads-too-many" // heads of another relay node that were not looked at
	dropCopyOld      = "copy-too-old"        // a batch of another relay node that is past its time here
	dropForward      = "forwarded-mail"      // mail of another relay node that could not be handed on
	dropCollected    = "collected-not-given" // acknowledgements of mail that was not forwarded there
	forwardStalled   = "forward-stall"       // forwarded mail that was not acknowledged in time
)

// Why a session ended, when this side ended it.
var (
	errTwice   = errors.New("there is another session with that relay node")
	errRevoked = errors.New("it is not in the roster any more")
)

// Members are the members that have a session at this relay node.
type Members interface {
	// Present returns those that were heard lately, sorted.
	Present() []peer.ID
	// Heard reports whether a member is one of these.
	Heard(peer.ID) bool
	// Session returns a member's session, if it has one.
	Session(peer.ID) (Member, bool)
}

// Member is one member's session.
type Member interface {
	// Offer writes a message unless too much waits already.
	Offer(wire.Message) error
	// Handed is the mail of other relay nodes that was handed on in this session.
	Handed() *ForeignMail
}

// Batches takes batches in.
type Batches interface {
	// Read verifies a batch and returns the backlog's entry for it.
	Read(data []byte) (backlog.Entry, error)
	// Append makes batches durable; way is how they came.
	Append(ctx context.Context, entries []backlog.Entry, way string) error
}

// Limits bound what other relay nodes can cost. None may be zero.
type Limits struct {
	Admission  time.Duration // dialling and the handshake together take no longer
	Send       time.Duration // a message that takes longer to be written ends the session
	Heads      time.Duration // half of the wait before what heads tell of is fetched
	MailWindow time.Duration // mail that is not acknowledged is forwarded again after
	MailPage   int           // bytes of mail handed to a relay node before the first acknowledgement is waited for
	Streams    int           // sessions and attempts at one at the same time
	Backlog    backlog.Limits
}

// Config is what the sessions between relay nodes need. Every field is required but Known and Via.
type Config struct {
	Handshake session.Config     // as for members' sessions
	Roster    func() *pki.Roster // the newest
	Known     []ma.Multiaddr     // of other relay nodes, beside the roster's; each ends in /p2p/<peer ID>
	Via       []ma.Multiaddr     // of those through which this one is to be reached; likewise
	Members   Members
	Batches   Batches
	Mail      mailbox.Store
	Backlog   backlog.Store
	Door      *door.Door
	News      news.Source
	// TakeRoster answers a relay node that offers a roster.
	TakeRoster func(msg *wire.RosterUpdate, from string) serve.Verdict
	// Presence is called when other members are present at other relay nodes.
	Presence func()
	// Closing ends when the relay node closes; its cause is given as the reason of sessions that end with it.
	Closing context.Context
	Count   func(name string, n int)
	Now     func() time.Time
	Log     *slog.Logger
	Limits  Limits
}

// Peers keeps a session with every other relay node of the roster. Each side dials the other, if it knows where; of two
// sessions at once one is kept.
type Peers struct {
	// static after Open
	cfg       Config
	log       *slog.Logger
	known     map[peer.ID][]ma.Multiaddr // addresses beside the roster's
	host      host.Host
	server    *overlay.StreamServer
	forwarder *forwarder
	roster    pace.Signal // rung when there is another roster

	mu    sync.Mutex
	links map[peer.ID]*link // guarded by mu
}

// New returns a Peers without any session.
func New(cfg Config) *Peers {
	cfg.Handshake.Peering, cfg.Handshake.Nonces = true, session.NewNonceCache()
	cfg.Handshake.Ping, cfg.Handshake.Silence = ping, silence
	p := &Peers{cfg: cfg, log: cfg.Log, known: make(map[peer.ID][]ma.Multiaddr), roster: pace.NewBell(), links: make(map[peer.ID]*link)}
	p.forwarder = newForwarder(p)
	for _, a := range slices.Concat(cfg.Known, cfg.Via) {
		_, id := peer.SplitAddr(a)
		p.known[id] = append(p.known[id], a)
	}
	return p
}

// Open begins to accept sessions on a host. It is called once, before Run.
func (p *Peers) Open(h host.Host) {
	p.host = h
	limits := overlay.StreamLimits{
		Service: service, Memory: wire.MaxSessionMessage, Deadline: p.cfg.Limits.Admission, Streams: p.cfg.Limits.Streams,
	}
	p.server = overlay.HandleStream(h, overlay.PeerProtocol, limits, p.accept, p.log)
}

// accept is the handler of a stream that another relay node opened.
func (p *Peers) accept(ctx context.Context, s network.Stream) error {
	conn, err := session.Accept(ctx, s, p.cfg.Handshake)
	if err != nil {
		p.cfg.Door.Refused(s.Conn().RemotePeer(), "peering", refusedHandshake)
		return err
	}
	p.serve(ctx, conn, false)
	return nil // the stream has ended: a reset would take away what the other has not read yet
}

// Run dials the relay nodes of the roster, whichever it is, and forwards mail, until ctx ends.
func (p *Peers) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { p.dialAll(ctx) })
	both.Go(func() { p.forwarder.run(ctx) })
	both.Wait()
}

// Close accepts no more sessions, and returns when those that were accepted have ended. The others end with Run.
func (p *Peers) Close() {
	if p.server != nil {
		p.server.Close()
	}
}

// RosterChanged has whoever is in the newest roster dialled, and nobody else.
func (p *Peers) RosterChanged() { p.roster.Ring() }

// Wake has the mail of these members looked at: they came, went, or mail came for them.
func (p *Peers) Wake(members ...peer.ID) { p.forwarder.due.Add(members...) }

// Tell has every relay node with a session told of these things.
func (p *Peers) Tell(b news.Bits) {
	for _, l := range p.all() {
		l.news.Set(b)
	}
}

// Members returns the members that are said to have a session at another relay node, in no order and some perhaps twice.
func (p *Peers) Members() (all []peer.ID) {
	for _, l := range p.all() {
		all = append(all, l.members()...)
	}
	return all
}

// LinkStatus is what is known of a session with another relay node.
type LinkStatus struct {
	Since   time.Time
	Dialled bool      // this side began it
	Members []peer.ID // who is there, as it says
	Err     error     // why it ended; nil: it has not
}

// Linked reports whether there is a session with a relay node.
func (p *Peers) Linked(id peer.ID) bool { return p.get(id) != nil }

// Link says how it stands with a relay node, if there is a session.
func (p *Peers) Link(id peer.ID) (LinkStatus, bool) {
	l := p.get(id)
	if l == nil {
		return LinkStatus{}, false
	}
	return LinkStatus{Since: l.since, Dialled: l.dialled, Members: l.members(), Err: l.conn.Err()}, true
}

// roleOf returns the name of a peer in the newest roster, empty for a stranger.
func (p *Peers) roleOf(id peer.ID) wire.Role {
	if c := p.cfg.Roster().Certificate(id); c != nil {
		return c.Role
	}
	return ""
}
