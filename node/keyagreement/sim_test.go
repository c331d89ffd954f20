package keyagreement

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"time"

	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// The simulation: members with truncated hashes for signatures and pads for wraps, a relay node with a mailbox, and one
// clock that jumps from occurrence to event. Everything follows from the seed.

var simEpochStart = time.UnixMilli(1_800_000_000_000)

// occurrence is something that happens at a time.
type occurrence struct {
	at  time.Duration
	seq int
	do  func()
}

type eventHeap []occurrence

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(occurrence)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = occurrence{}
	*h = old[:len(old)-1]
	return e
}

// world is one schedule.
type world struct {
	seed   uint64
	rng    *rand.Rand
	bytes  *rand.ChaCha8
	now    time.Duration
	seq    int
	events eventHeap
	limits limits.Limits

	group  wire.GroupID
	nodes  []*node
	byRole map[wire.Role]*node
	roster Roster // the newest the authority signed

	// The network.
	loss, dup float64
	slow      time.Duration // most latency of a message
	relayUp   bool
	database  wire.DatabaseID
	mail      map[wire.Role][]*letter
	mailID    uint64
	chaos     bool         // faults go on
	postLoss  bool         // the mailbox loses every deposit
	quiet     bool         // nobody sends a message
	oldRelay  bool         // the relay node has no newer roster either
	blocked   [2]wire.Role // shares of the first never reach the second

	faults map[string]int
	errs   []string
	oracle oracle
}

// letter is what a mailbox holds.
type letter struct {
	id      uint64
	raw     []byte
	share   bool
	deleted bool
}

// node is one member and its driver.
type node struct {
	w       *world
	role    wire.Role
	member  Member
	m       *Machine
	life    int // incarnation: callbacks of an older one do nothing
	disk    map[string][]byte
	linked  bool
	roster  Roster
	skew    time.Duration
	tickAt  time.Duration
	using   wire.Transcript
	wiped   time.Duration // when its disk was last lost or set back
	starts  map[wire.Transcript]int
	start   map[wire.Transcript]bool // this life's chain has begun
	gone    bool                     // never comes back
	deaf    bool                     // linked, and nothing passes
	cheat   cheatKind
	alt     map[wire.EpochID]*altWorld
	history [][]byte // what a storm repeats

	dieAfterCommit bool // of the next contribution
	died           wire.EpochID
}

func newWorld(seed uint64) *world {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 99)), bytes: rand.NewChaCha8(key), limits: limits.Default(),
		group: wire.GroupID{1}, byRole: map[wire.Role]*node{}, mail: map[wire.Role][]*letter{}, faults: map[string]int{},
		relayUp: true, database: wire.DatabaseID{1}, slow: 30 * time.Millisecond,
	}
	w.oracle.init()
	return w
}

// add makes n members named A, B, C ... and the roster of the first size of them.
func (w *world) add(n, size int) {
	for i := range n {
		role := wire.Role(rune('A' + i))
		id := sha256.Sum256([]byte(role))
		x := &node{w: w, role: role, member: Member{Role: role, Identity: id, Unwrap: id}, disk: map[string][]byte{}, starts: map[wire.Transcript]int{}, alt: map[wire.EpochID]*altWorld{}}
		w.nodes = append(w.nodes, x)
		w.byRole[role] = x
	}
	w.issue(w.nodes[:size])
}

// issue signs the next roster.
func (w *world) issue(nodes []*node) {
	r := Roster{Version: w.roster.Version + 1, Expires: simEpochStart.Add(24 * time.Hour)}
	for _, n := range nodes {
		r.Members = append(r.Members, n.member)
	}
	r.Hash = sha256.Sum256(fmt.Append(nil, r.Version, len(nodes)))
	w.roster = r
	w.oracle.hashes[r.Version] = r.Hash
}

func inRoster(r Roster, role wire.Role) bool {
	for _, m := range r.Members {
		if m.Role == role {
			return true
		}
	}
	return false
}

func (w *world) at(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, occurrence{w.now + d, w.seq, do})
}

// run lets events happen until a time, or until stop says so.
func (w *world) run(until time.Duration, stop func() bool) {
	for len(w.events) > 0 && w.events[0].at <= until && len(w.errs) == 0 {
		e := heap.Pop(&w.events).(occurrence)
		w.now = e.at
		e.do()
		if stop != nil && stop() {
			return
		}
	}
	w.now = max(w.now, until)
}

func (w *world) failf(format string, args ...any) {
	w.errs = append(w.errs, fmt.Sprintf("seed %d at %v: ", w.seed, w.now)+fmt.Sprintf(format, args...))
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *world) fault(name string) { w.faults[name]++ }

func (n *node) clock() time.Time { return simEpochStart.Add(n.w.now + n.skew) }

func simSign(key [32]byte, message []byte) []byte {
	h := sha256.New()
	h.Write(key[:])
	h.Write(message)
	return h.Sum(make([]byte, 0, 64))
}

func simVerify(key [32]byte, message, signature []byte) bool {
	return string(simSign(key, message)) == string(signature[:32])
}

// simPad is the wrap: whoever knows label and recipient can make and open it.
func simPad(to wire.Role, label []byte) (pad [72]byte) {
	a := sha256.Sum256(append([]byte(to), label...))
	b := sha256.Sum256(a[:])
	c := sha256.Sum256(b[:])
	copy(pad[:], a[:])
	copy(pad[32:], b[:])
	copy(pad[64:], c[:])
	return pad
}

func simWrap(to wire.Role, label []byte, s share.Share) []byte {
	pad := simPad(to, label)
	for i, b := range s.Bytes() {
		pad[i] ^= b
	}
	return pad[:]
}

func simUnwrap(to wire.Role, u event.Unwrap) event.Unwrapped {
	pad := simPad(to, u.Label)
	out := event.Unwrapped{Token: u.Token, OK: len(u.Ciphertext) == 72 && string(u.Ciphertext[64:]) == string(pad[64:])}
	if out.OK {
		var plain [64]byte
		for i := range plain {
			plain[i] = u.Ciphertext[i] ^ pad[i]
		}
		out.Plaintext = share.Of(plain)
	}
	return out
}
