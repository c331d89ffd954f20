package uplink

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// networkEvery is how often the machine's addresses and routes are looked at. That costs some 50 microseconds.
	networkEvery = time.Second
	// clockJump is by how much the wall clock may run away from the process's own between two looks: a machine that
	// slept, or whose clock was set.
	clockJump = 2 * time.Second
)

// netWatch watches what may end connections without a word: the machine's addresses, its default routes, and its sleep.
// It only gives reason to probe; what is true the probes find out.
type netWatch struct {
	// Static.
	now  func() time.Time
	look func() string // a name of the machine's addresses and routes; nil: they are not watched

	mu    sync.Mutex
	kicks []chan struct{} // guarded by mu
}

func newNetWatch(now func() time.Time, simulated bool) *netWatch {
	w := &netWatch{now: now, look: machineNetwork}
	if simulated {
		w.look = nil // the machine's addresses are not those of the simulation
	}
	return w
}

// add has a channel told of changes until the returned function is called.
func (w *netWatch) add(kick chan struct{}) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kicks = append(w.kicks, kick)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.kicks = slices.DeleteFunc(w.kicks, func(c chan struct{}) bool { return c == kick })
	}
}

// changed tells everybody.
func (w *netWatch) changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.kicks {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// run watches until ctx ends.
func (w *netWatch) run(ctx context.Context) {
	ticker := time.NewTicker(networkEvery)
	defer ticker.Stop()
	before, wall, own := w.name(), w.now().Round(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		name, nowWall, nowOwn := w.name(), w.now().Round(0), time.Now()
		jump := nowWall.Sub(wall) - nowOwn.Sub(own)
		if name != before || jump > clockJump || jump < -clockJump {
			w.changed()
		}
		before, wall, own = name, nowWall, nowOwn
	}
}

func (w *netWatch) name() string {
	if w.look == nil {
		return ""
	}
	return w.look()
}

// stranded reports whether every connection to that peer leaves from an address that the machine has no more.
func (w *netWatch) stranded(h host.Host, p peer.ID) bool {
	if w.look == nil {
		return false
	}
	have, err := machineAddrs()
	if err != nil {
		return false
	}
	conns := h.Network().ConnsToPeer(p)
	for _, c := range conns {
		from, err := manet.ToNetAddr(c.LocalMultiaddr())
		if err != nil {
			return false // a circuit, or what we do not understand
		}
		at, err := netip.ParseAddrPort(from.String())
		if err != nil || at.Addr().IsUnspecified() || have[at.Addr().Unmap().WithZone("")] {
			return false
		}
	}
	return len(conns) > 0
}

// machineAddrs returns the addresses of the machine's interfaces.
func machineAddrs() (map[netip.Addr]bool, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	have := make(map[netip.Addr]bool, len(all))
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			have[p.Addr().Unmap()] = true
		}
	}
	return have, nil
}

// machineNetwork names the machine's addresses and default routes: when the name changes, they did.
func machineNetwork() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	names := make([]string, 0, len(all))
	for _, a := range all {
		names = append(names, a.String())
	}
	slices.Sort(names)
	return strings.Join(names, " ") + " via " + defaultRoutes()
}
