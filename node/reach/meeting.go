package reach

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"conclave/node/deadline"
	"conclave/overlay"
	"conclave/overlay/backoff"
	"conclave/overlay/lan"
	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// maxMeetings is how many dials on the local network are under way at once. Arbitrary.
	maxMeetings = 8
	// maxNearAddrs is how many addresses of one peer are kept, the newest. Arbitrary: TCP and QUIC on four networks.
	maxNearAddrs = 16
	// yield is what the one of two that has the larger peer ID waits for the other's dial (SPEC.md section 3.1).
	yield = 500 * time.Millisecond
	// meetRetry is the first wait after a dial that failed; it doubles up to meetRetryMax.
	meetRetry    = time.Second
	meetRetryMax = 30 * time.Second
	// meetTimeout bounds one dial: on a local network an answer is there in milliseconds.
	meetTimeout = 5 * time.Second
)

// MeetConfig is what Meet needs. All fields but Interfaces are given.
type MeetConfig struct {
	Group wire.GroupID
	Self  peer.ID
	Host  host.Host
	// InForce returns the roster in force, on any goroutine.
	InForce func() *pki.Roster
	// Interfaces are the names of those to use. None means every one that the host listens on.
	Interfaces []string
	// Relay is told the addresses of a relay node that was found, each ending in /p2p/<peer ID>.
	Relay func(peer.ID, []ma.Multiaddr)
	Log   *slog.Logger
}

// meeting finds the others on the local network and connects to them. Its fields are owned by run.
type meeting struct {
	cfg   MeetConfig
	found chan peer.AddrInfo
	tried chan attempt
	near  map[peer.ID]*neighbour // of the roster, so it is bounded by that
	busy  int
}

// neighbour is somebody who was found.
type neighbour struct {
	addrs    []ma.Multiaddr // oldest first
	due      time.Time      // when to dial; zero: not before something new is heard
	last     time.Time      // of the last dial
	failures int
	dialling bool
}

// attempt is what became of a dial.
type attempt struct {
	id  peer.ID
	err error
}

// Meet looks for the others until ctx ends. An error says why they cannot be found.
func Meet(ctx context.Context, cfg MeetConfig) error {
	m := &meeting{
		cfg: cfg, found: make(chan peer.AddrInfo, 64), tried: make(chan attempt, maxMeetings), near: make(map[peer.ID]*neighbour),
	}
	service, err := lan.Start(lan.Config{
		Group: cfg.Group, Self: cfg.Self, Listen: cfg.Host.Network().ListenAddresses,
		Admit: func(p peer.ID) bool { return cfg.InForce().Admits(p) },
		Found: m.hear, Links: lan.Only(cfg.Interfaces...), Log: cfg.Log,
	})
	if err != nil {
		return err
	}
	var dials sync.WaitGroup
	defer dials.Wait()
	defer func() { _ = service.Close() }()
	m.run(ctx, &dials)
	return nil
}

// hear is called by the service, which must not wait.
func (m *meeting) hear(info peer.AddrInfo) {
	select {
	case m.found <- info:
	default: // it is announced again
	}
}

func (m *meeting) run(ctx context.Context, dials *sync.WaitGroup) {
	look := time.NewTicker(2 * time.Second)
	defer look.Stop()
	for {
		timer := time.NewTimer(m.wait())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case info := <-m.found:
			m.heard(ctx, info)
		case a := <-m.tried:
			m.tell(a)
		case <-look.C:
			m.dropStranded()
		case <-timer.C:
		}
		timer.Stop()
		m.dial(ctx, dials)
	}
}

// wait returns how long nobody has to be dialled.
func (m *meeting) wait() time.Duration {
	wait := time.Hour
	for _, of := range m.near {
		if !of.due.IsZero() && !of.dialling {
			wait = min(wait, time.Until(of.due))
		}
	}
	return max(wait, 0)
}

// heard takes note of an announcement.
func (m *meeting) heard(ctx context.Context, info peer.AddrInfo) {
	of := m.near[info.ID]
	if of == nil {
		of = &neighbour{}
		m.near[info.ID] = of
	}
	news := false
	for _, a := range info.Addrs {
		if !slices.ContainsFunc(of.addrs, a.Equal) {
			news = true
			of.addrs = append(of.addrs, a)
		}
	}
	of.addrs = of.addrs[max(0, len(of.addrs)-maxNearAddrs):]
	_, relay := m.cfg.InForce().Relay(info.ID)
	if relay && news {
		m.learn(info.ID, of.addrs)
	}
	if overlay.Direct(m.cfg.Host, info.ID) {
		of.due = time.Time{}
		return
	}
	due := time.Now()
	if !relay && m.cfg.Self.String() > info.ID.String() {
		due = due.Add(yield)
	}
	if news {
		of.failures = 0
	}
	if of.failures > 0 {
		return // its time is set
	}
	// Whoever invents addresses makes this member dial once a second, no more.
	if next := of.last.Add(meetRetry); due.Before(next) {
		due = next
	}
	of.due = deadline.Sooner(of.due, due)
}

// learn gives a relay node's addresses to its link, which is begun if it does not run.
func (m *meeting) learn(id peer.ID, addrs []ma.Multiaddr) {
	var full []ma.Multiaddr
	for _, a := range addrs {
		full = append(full, a.Encapsulate(ma.StringCast("/p2p/"+id.String())))
	}
	m.cfg.Relay(id, full)
}

// dial begins the dials that are due.
func (m *meeting) dial(ctx context.Context, dials *sync.WaitGroup) {
	now := time.Now()
	for id, of := range m.near {
		if m.busy >= maxMeetings {
			return
		}
		if of.due.IsZero() || of.dialling || now.Before(of.due) {
			continue
		}
		of.due = time.Time{}
		if overlay.Direct(m.cfg.Host, id) {
			continue
		}
		if !m.cfg.InForce().Admits(id) { // defence: meeting-roster
			continue
		}
		of.dialling, of.last = true, now
		m.busy++
		info := peer.AddrInfo{ID: id, Addrs: slices.Clone(of.addrs)}
		dials.Go(func() {
			limited, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "lan"), meetTimeout)
			defer cancel()
			a := attempt{id, overlay.Connect(limited, m.cfg.Host, info)}
			select {
			case m.tried <- a:
			case <-ctx.Done():
			}
		})
	}
}

// tell takes note of what became of a dial.
func (m *meeting) tell(a attempt) {
	of := m.near[a.id]
	of.dialling = false
	m.busy--
	if a.err == nil {
		of.failures, of.due = 0, time.Time{}
		return
	}
	m.cfg.Log.Debug("somebody on the local network does not answer", "peer", a.id, "err", a.err)
	of.due = time.Now().Add(backoff.Wait(meetRetry, meetRetryMax, of.failures))
	if of.failures++; of.failures > 8 {
		of.failures, of.due, of.addrs = 0, time.Time{}, nil // until it announces itself again
	}
}

// dropStranded closes connections that begin at an address which this machine has no more, after a laptop has moved: nothing
// else would tell for a minute that they are dead.
func (m *meeting) dropStranded() {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return
	}
	for _, c := range m.cfg.Host.Network().Conns() {
		if overlay.IsCircuit(c.LocalMultiaddr()) || overlay.IsCircuit(c.RemoteMultiaddr()) {
			continue
		}
		ip, err := manet.ToIP(c.LocalMultiaddr())
		if err != nil || ip.IsUnspecified() {
			continue
		}
		if !slices.ContainsFunc(addrs, func(a net.Addr) bool { own, ok := a.(*net.IPNet); return ok && own.IP.Equal(ip) }) {
			m.cfg.Log.Info("a connection is stranded: this machine has its address no more", "peer", c.RemotePeer(), "local", c.LocalMultiaddr())
			_ = c.Close()
		}
	}
}
