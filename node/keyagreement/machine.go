package keyagreement

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"conclave/node/keyagreement/roster"
	"conclave/overlay/backoff"
	"conclave/overlay/wire"
)

// Machine is one member's key agreement. It is not safe for use by several goroutines at once.
type Machine struct {
	cfg Config

	// Of the step being taken.
	now  time.Time
	out  []Output
	wake time.Time // the next time anything is due, zero for never

	// Who is who.
	roster  *roster.View // the newest
	rosters map[wire.RosterHash]*roster.View
	self    int // index in roster, -1 when removed
	need    need

	// The network, as far as hints say.
	relayUp  bool
	database wire.DatabaseID
	online   map[wire.Role]bool

	// Asking and opening.
	ask         timer
	sequence    uint64                // of the last own request
	answered    time.Time             // when the last own request went out
	requests    map[wire.Role]request // newest of each role, its own among them
	instances   map[wire.Role]*seen
	strikes     map[wire.Role]strike
	failed      map[wire.Role]int // epochs of this opener that failed since one of its was completed
	rekey       bool              // a new epoch is wanted though the old is well
	rekeyNumber uint64            // and it must be above this number
	opened      time.Time
	answeredBy  map[wire.Role]time.Time // when an opening of this role was last answered
	answeredAny time.Time
	floor       map[wire.Role]uint64 // highest number of a forgotten epoch of this opener to which this instance contributed

	// Epochs.
	epochs  map[wire.EpochID]*epoch
	order   []*epoch // the same, as they were first seen; never changed in place
	highest uint64   // highest opening number known
	dropped map[wire.EpochID]time.Time
	using   wire.Transcript // zero: hold
	beat    time.Time       // when the newest session is shown again
	tell    timer           // the newest opening is shown to whoever is behind

	// Cheats and messages before their time.
	evidence map[wire.Role]evidence
	waiting  []waiting
	unseen   map[wire.EpochID]*timer // epochs heard of whose opening is not here
	unwraps  map[uint64]*unwrap
	token    uint64
	allowed  map[string]time.Time
}

// Errors of New.
var (
	errSelf   = errors.New("this member is not in the roster")
	errConfig = errors.New("a sign function and a role are required")
)

// New makes a machine from its configuration and the records persisted earlier, and returns what is to be done first.
func New(cfg Config, now time.Time) (*Machine, []Output, error) {
	if cfg.Sign == nil || cfg.Self == "" {
		return nil, nil, errConfig
	}
	if cfg.Verify == nil {
		cfg.Verify = Ed25519Verify
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	m := &Machine{
		cfg: cfg, now: now, rosters: map[wire.RosterHash]*roster.View{}, online: map[wire.Role]bool{},
		requests: map[wire.Role]request{}, instances: map[wire.Role]*seen{}, strikes: map[wire.Role]strike{},
		answeredBy: map[wire.Role]time.Time{}, floor: map[wire.Role]uint64{}, failed: map[wire.Role]int{}, epochs: map[wire.EpochID]*epoch{}, dropped: map[wire.EpochID]time.Time{},
		evidence: map[wire.Role]evidence{}, unseen: map[wire.EpochID]*timer{}, unwraps: map[uint64]*unwrap{}, allowed: map[string]time.Time{},
	}
	records := cfg.Records
	m.cfg.Records = nil
	m.setRoster(cfg.Roster)
	if m.self < 0 {
		return nil, nil, errSelf
	}
	m.restore(records)
	m.plausible() // a clock may have been wrong before
	m.ask.reset(now)
	m.advance()
	return m, m.take(), nil
}

// Step takes one input and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, in Input) []Output {
	m.seeClock(now)
	if m.self < 0 {
		return m.stepRemoved(in)
	}
	switch in := in.(type) {
	case Tick:
	case Control:
		m.receive(waiting{raw: in.Raw, ref: in.Ref})
	case Envelope:
		m.receive(waiting{raw: in.Raw, ref: in.Ref})
	case Unwrapped:
		m.onUnwrapped(in)
	case RosterIs:
		m.onRoster(in.Roster)
	case RelayUp:
		m.onRelayUp(in.Database)
	case RelayDown:
		m.relayUp = false
	case MailStored:
		m.onStored(in.Parcel)
	case ShareDelivered:
		m.onDelivered(in.Parcel)
	case ShareFailed:
		m.onFailed(in.Parcel)
	case Rekey:
		m.onRekey()
	case StartBehind:
		m.onStartBehind(in.Transcript)
	case SawBehind:
		m.onSawBehind(in)
	case Online:
		m.onOnline(in.Role)
	case Offline:
		delete(m.online, in.Role)
		if in.Role != m.cfg.Self {
			delete(m.requests, in.Role)
		}
	}
	m.advance()
	return m.take()
}

// stepRemoved is Step for a member that the roster no longer has: it waits for one that does.
func (m *Machine) stepRemoved(in Input) []Output {
	switch in := in.(type) {
	case Unwrapped:
		delete(m.unwraps, in.Token)
	case RosterIs:
		m.onRoster(in.Roster)
	case RelayUp:
		m.relayUp, m.database = true, in.Database
	case RelayDown:
		m.relayUp = false
	case Online:
		m.online[in.Role] = true
	case Offline:
		delete(m.online, in.Role)
	}
	m.advance()
	return m.take()
}

// Deadline returns when the machine wants a Tick, if it wants one.
func (m *Machine) Deadline() (time.Time, bool) { return m.wake, !m.wake.IsZero() }

// advance does everything that is due, until nothing more follows from it.
func (m *Machine) advance() {
	m.wake = time.Time{}
	if m.self < 0 {
		m.choose()
		return
	}
	m.stepNeed()
	m.stepRequests()
	m.stepFailures()
	m.stepAnswers()
	m.stepAsk()
	m.stepOpen()
	m.stepOffers()
	m.stepLacks()
	m.stepUnseen()
	m.stepConfirm()
	m.stepHeartbeat()
	m.stepTell()
	m.stepWindow()
	m.choose()
}

// connected tells whether anybody can hear.
func (m *Machine) connected() bool { return m.relayUp || len(m.online) > 0 }

func (m *Machine) emit(o Output) { m.out = append(m.out, o) }

func (m *Machine) note(text string, role wire.Role) { m.emit(Note{text, role}) }

func (m *Machine) settle(refs ...uint64) {
	for _, r := range refs {
		if r != 0 {
			m.emit(Settled{r})
		}
	}
}

// take returns the step's outputs, records first: that is the order in which the driver must have them.
func (m *Machine) take() []Output {
	out := m.out
	m.out = nil
	rank := func(o Output) int {
		switch o.(type) {
		case Persist, Erase:
			return 0
		case Completed:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b Output) int { return rank(a) - rank(b) })
	return out
}

// timer is a repeated action: at is when it is due next (zero: never), n how often it has run.
type timer struct {
	at time.Time
	n  int
}

// reset makes it due at t, as if for the first time.
func (t *timer) reset(at time.Time) { *t = timer{at: at} }

// stop makes it never due.
func (t *timer) stop() { t.at = time.Time{} }

// due tells whether a timer has run out, and if so sets it again: first later, doubled each time, at most max.
func (m *Machine) due(t *timer, first, max time.Duration) bool {
	if t.at.IsZero() || !m.reached(t.at) {
		return false
	}
	t.at = m.now.Add(backoff.Wait(first, max, t.n))
	t.n++
	m.wakeAt(t.at)
	return true
}

// reached tells whether t has come; if not the machine asks for a tick then.
func (m *Machine) reached(t time.Time) bool {
	if m.now.Before(t) {
		m.wakeAt(t)
		return false
	}
	return true
}

func (m *Machine) wakeAt(t time.Time) {
	if m.wake.IsZero() || t.Before(m.wake) {
		m.wake = t
	}
}

// allow tells whether something named may be done again, at most once in each span.
func (m *Machine) allow(name string, span time.Duration) bool {
	if t, ok := m.allowed[name]; ok && m.now.Sub(t) < span && !m.now.Before(t) {
		return false
	}
	if len(m.allowed) > maxAllowed {
		clear(m.allowed)
	}
	m.allowed[name] = m.now
	return true
}
