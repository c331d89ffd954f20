package simlab

import (
	"container/heap"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// wire is the simulated network: hosts with one address each, and a core between them that delays, loses and cuts.
type wire struct {
	closed chan struct{}
	news   chan struct{} // holds one: something was sent
	busy   sync.WaitGroup

	mu      sync.Mutex
	random  *rand.Rand
	latency time.Duration // one way
	jitter  time.Duration // more, at most
	loss    float64       // of each packet
	cut     map[netip.Addr]bool
	island  map[netip.Addr]string // hosts of different islands do not reach each other
	at      map[netip.AddrPort]*socket
	ports   uint16
	flying  flights
	sent    int
}

// deepest is how long a packet waits for a slow line at most; what would wait longer is dropped.
const deepest = 2 * time.Second

func newWire(seed uint64) *wire {
	w := &wire{
		closed: make(chan struct{}), news: make(chan struct{}, 1), random: rand.New(rand.NewPCG(seed, 1)),
		latency: 10 * time.Millisecond, cut: make(map[netip.Addr]bool), island: make(map[netip.Addr]string),
		at: make(map[netip.AddrPort]*socket), ports: 20_000,
	}
	w.busy.Go(w.run)
	return w
}

func (w *wire) close() {
	close(w.closed)
	w.busy.Wait()
}

// set changes the network.
func (w *wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// chance returns a time below most, by the seed.
func (w *wire) chance(most time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.Int64N(int64(most)))
}

// run delivers packets when their time has come.
func (w *wire) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(w.deliver())
		select {
		case <-w.closed:
			return
		case <-w.news:
		case <-timer.C:
		}
	}
}

// deliver hands on what is due and returns when to look again.
func (w *wire) deliver() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.flying) > 0 {
		if wait := time.Until(w.flying[0].due); wait > 0 {
			return wait
		}
		f := heap.Pop(&w.flying).(flight)
		if to := w.at[f.to]; to != nil && !w.cut[f.to.Addr()] {
			to.take(f.packet)
		}
	}
	return time.Hour
}

// send takes a packet that has left a host.
func (w *wire) send(from *site, source, to netip.AddrPort, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, b := source.Addr(), to.Addr()
	if w.cut[a] || w.cut[b] || w.island[a] != w.island[b] || w.loss > 0 && w.random.Float64() < w.loss {
		return
	}
	due := time.Now().Add(w.latency)
	if w.jitter > 0 {
		due = due.Add(time.Duration(w.random.Int64N(int64(w.jitter))))
	}
	if from.rate > 0 {
		busy := max(0, time.Until(from.free))
		if busy > deepest {
			return
		}
		took := time.Duration(len(data)+28) * 8 * time.Second / time.Duration(from.rate)
		from.free = time.Now().Add(busy + took)
		due = due.Add(busy + took)
	}
	w.sent++
	heap.Push(&w.flying, flight{due, w.sent, to, packet{source, append([]byte(nil), data...)}})
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// packet is what arrives at a socket.
type packet struct {
	from netip.AddrPort
	data []byte
}

type flight struct {
	due    time.Time
	order  int
	to     netip.AddrPort
	packet packet
}

// flights is a heap of packets by the time of their arrival.
type flights []flight

func (f flights) Len() int      { return len(f) }
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f flights) Less(i, j int) bool {
	return f[i].due.Before(f[j].due) || f[i].due.Equal(f[j].due) && f[i].order < f[j].order
}
func (f *flights) Push(x any) { *f = append(*f, x.(flight)) }

func (f *flights) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// site is a host's place in the network.
type site struct {
	w *wire

	// Guarded by w.mu.
	addr netip.Addr
	rate int       // bits a second of what it sends; 0 for no limit
	free time.Time // when its line is free again
}

func (w *wire) site(addr string) *site { return &site{w: w, addr: netip.MustParseAddr(addr)} }

// cutOff takes the host's present address off the network, or puts it back.
func (s *site) cutOff(off bool) { s.w.set(func() { s.w.cut[s.addr] = off }) }

// move gives the host another address. What its sockets hold stays behind.
func (s *site) move(addr string) {
	s.w.set(func() {
		for at := range s.w.at {
			if at.Addr() == s.addr {
				delete(s.w.at, at)
			}
		}
		s.w.cut[s.addr] = true
		s.addr = netip.MustParseAddr(addr)
	})
}

// listenUDP opens a socket on the host's present address, whatever address is asked for.
func (s *site) listenUDP(_ string, want *net.UDPAddr) (net.PacketConn, error) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	port := uint16(want.Port)
	if port == 0 {
		w.ports++
		port = w.ports
	}
	c := &socket{
		site: s, local: netip.AddrPortFrom(s.addr, port), wildcard: want.IP.IsUnspecified(),
		inbox: make(chan packet, 1024), closed: make(chan struct{}), moved: make(chan struct{}),
	}
	w.at[c.local] = c
	return c, nil
}
