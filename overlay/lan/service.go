package lan

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"conclave/overlay/backoff"
	"conclave/overlay/wire"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Config says what to announce and whom to look for.
type Config struct {
	// Group is whose nodes are looked for. Required.
	Group wire.GroupID
	// Self is this node's peer ID. Required.
	Self peer.ID
	// Listen returns the addresses that the host listens on at the moment. Required. One of them has to be on a link for
	// anything to be sent there.
	Listen func() []ma.Multiaddr
	// Admit says whether a peer is in the roster. Required.
	Admit func(peer.ID) bool
	// Found is told of peers that announced themselves, again and again. Required. It must return at once.
	Found func(peer.AddrInfo)
	// Links returns the interfaces to use. Default Links.
	Links func() ([]Link, error)
	// Log takes what goes wrong. Required.
	Log *slog.Logger
}

func (c *Config) complete() error {
	if c.Self == "" || c.Listen == nil || c.Admit == nil || c.Found == nil || c.Log == nil {
		return errors.New("the search of the local network needs Self, Listen, Admit, Found and Log")
	}
	if c.Links == nil {
		c.Links = Links
	}
	return nil
}

// Service announces a node and finds others. See Start.
type Service struct {
	// Static after construction.
	cfg      Config
	service  string
	instance string
	sockets  []socket
	arrivals chan arrival
	stop     context.CancelFunc
	wg       sync.WaitGroup

	// Owned by run.
	links    []Link
	joined   map[int]bool // by interface
	answered map[int]time.Time
	owed     map[int]bool // interfaces on which an answer is due
	asks     int
	next     time.Time       // when to ask again
	told     map[string]bool // failures to send that are in the log, since the links changed
	gate     *gate
}

// arrival is a packet that came.
type arrival struct {
	data  []byte
	index int
	from  netip.Addr
}

// Start announces a node on its links and looks for others, until Close.
func Start(cfg Config) (*Service, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	open, err := sockets()
	if err != nil {
		return nil, fmt.Errorf("opening multicast DNS: %w", err)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	s := &Service{
		cfg: cfg, service: serviceName(cfg.Group), instance: hex.EncodeToString(id), sockets: open,
		arrivals: make(chan arrival, 64), joined: make(map[int]bool),
		answered: make(map[int]time.Time), owed: make(map[int]bool), told: make(map[string]bool), gate: newGate(),
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, one := range open {
		s.wg.Go(func() { s.receive(ctx, one) })
	}
	s.wg.Go(func() { s.run(ctx) })
	return s, nil
}

// Close ends the service and returns when everything it started has.
func (s *Service) Close() error {
	s.stop()
	var errs []error
	for _, one := range s.sockets {
		errs = append(errs, one.close())
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// receive hands packets to run. What is too much is dropped here, before anything is kept of it.
func (s *Service) receive(ctx context.Context, from socket) {
	buf := make([]byte, maxPacket)
	for ctx.Err() == nil {
		n, index, sender, err := from.receive(buf)
		if err != nil {
			if ctx.Err() == nil {
				s.cfg.Log.Debug("reading multicast DNS", "err", err)
				pause(ctx, answerEvery) // an interface that went down, mostly
			}
			continue
		}
		if !mentions(buf[:n], s.service) {
			continue
		}
		if !s.gate.allow(sender) { // defence: lan-rate
			continue
		}
		select {
		case s.arrivals <- arrival{slices.Clone(buf[:n]), index, sender}:
		default: // whoever announces itself does so again
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// run asks, answers and follows the interfaces until ctx ends.
func (s *Service) run(ctx context.Context) {
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	s.look(true)
	for {
		timer := time.NewTimer(s.wait())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case a := <-s.arrivals:
			s.take(a)
		case <-watch.C:
			s.look(false)
		case <-timer.C:
		}
		timer.Stop()
		s.speak()
	}
}

// wait returns how long nothing has to be said.
func (s *Service) wait() time.Duration {
	next := s.next
	for index := range s.owed {
		if due := s.answered[index].Add(answerEvery); due.Before(next) {
			next = due
		}
	}
	return max(time.Until(next), 0)
}

// look follows the interfaces. When they have changed, or always, it begins anew: it asks, and announces this node.
func (s *Service) look(always bool) {
	links, err := s.cfg.Links()
	if err != nil {
		s.cfg.Log.Debug("looking at the interfaces", "err", err)
		return
	}
	links = slices.DeleteFunc(links, func(l Link) bool { return len(l.here(s.cfg.Listen())) == 0 })
	changed := !same(links, s.links)
	if changed {
		s.rejoin(links)
	}
	if changed || always {
		s.asks, s.next = 0, time.Now()
		for _, l := range links {
			s.owed[l.Interface.Index] = true
		}
		s.speak()
	}
}

// rejoin joins and leaves what has to be.
func (s *Service) rejoin(links []Link) {
	for _, old := range s.links {
		if !slices.ContainsFunc(links, func(l Link) bool { return l.Interface.Index == old.Interface.Index }) {
			for _, one := range s.sockets {
				one.leave(old.Interface)
			}
			delete(s.joined, old.Interface.Index)
			delete(s.owed, old.Interface.Index)
		}
	}
	for _, l := range links {
		if s.joined[l.Interface.Index] {
			continue
		}
		for _, one := range s.sockets {
			if err := one.join(l.Interface); err != nil {
				s.cfg.Log.Debug("joining multicast DNS", "interface", l.Interface.Name, "err", err)
				continue
			}
			s.joined[l.Interface.Index] = true
		}
	}
	s.links = links
	clear(s.told)
}

// speak sends the question and the answers that are due.
func (s *Service) speak() {
	now := time.Now()
	if !now.Before(s.next) {
		s.next = now.Add(backoff.Wait(askFirst, askLongest, s.asks))
		s.asks++
		if data, err := question(s.service); err == nil {
			for _, l := range s.links {
				s.send(l, data)
			}
		}
	}
	for _, l := range s.links {
		index := l.Interface.Index
		if s.owed[index] && !now.Before(s.answered[index].Add(answerEvery)) {
			s.announce(l)
			s.answered[index] = now
			delete(s.owed, index)
		}
	}
}

// announce says where this node is on a link.
func (s *Service) announce(l Link) {
	var addrs []string
	for _, a := range l.here(s.cfg.Listen()) {
		addrs = append(addrs, a.String()+"/p2p/"+s.cfg.Self.String())
	}
	if len(addrs) == 0 {
		return
	}
	data, err := announcement(s.service, s.instance, addrs[:min(len(addrs), maxTexts)])
	if err != nil {
		s.cfg.Log.Error("announcing this node on the local network", "err", err)
		return
	}
	s.send(l, data)
}

// send sends to everybody on a link. Some links carry one family only (loopback, as a rule, no multicast of IPv6): that is
// said once.
func (s *Service) send(l Link, data []byte) {
	for family, one := range s.sockets {
		err := one.send(l.Interface, data)
		if err == nil {
			continue
		}
		if key := fmt.Sprint(l.Interface.Index, family); !s.told[key] {
			s.told[key] = true
			s.cfg.Log.Debug("sending multicast DNS", "interface", l.Interface.Name, "err", err)
		}
	}
}

// take does what a packet asks for.
func (s *Service) take(a arrival) {
	at := slices.IndexFunc(s.links, func(l Link) bool { return l.Interface.Index == a.index })
	if at < 0 && a.index != 0 {
		return // an interface that is not for this
	}
	links := s.links
	if at >= 0 {
		links = links[at : at+1]
	}
	p := read(s.service, a.data)
	if p.asks {
		for _, l := range links {
			s.owed[l.Interface.Index] = true
		}
	}
	for _, info := range s.announced(p.texts, links) {
		s.cfg.Found(info)
	}
}

// announced returns the peers of an announcement that may be dialled, with the addresses that may.
func (s *Service) announced(texts []string, links []Link) []peer.AddrInfo {
	var found []peer.AddrInfo
	for _, text := range texts {
		full, err := ma.NewMultiaddr(text)
		if err != nil {
			continue
		}
		addr, id := peer.SplitAddr(full)
		if id == "" || id == s.cfg.Self || addr == nil {
			continue
		}
		if !s.cfg.Admit(id) { // defence: lan-roster
			continue
		}
		ip, _, ok := split(addr)
		if !ok {
			continue
		}
		if !slices.ContainsFunc(links, func(l Link) bool { return l.holds(ip) }) { // defence: lan-near
			continue
		}
		if i := slices.IndexFunc(found, func(f peer.AddrInfo) bool { return f.ID == id }); i >= 0 {
			found[i].Addrs = append(found[i].Addrs, addr)
			continue
		}
		found = append(found, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{addr}})
	}
	return found
}
