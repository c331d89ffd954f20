package keyagreement

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"conclave/node/keyagreement/asking"
	"conclave/node/keyagreement/clock"
	"conclave/node/keyagreement/early"
	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/limits"
	"conclave/node/keyagreement/roster"
	"conclave/overlay/wire"
)

// Machine is one member's key agreement. It is not safe for use by several goroutines at once.
//
// It is built in layers. Each decides one thing, keeps what it needs for that, and knows the layers below it and none above:
//
//	Machine    takes inputs, restores records, sees the clock
//	repairs    asks for what is missing, and helps others
//	openings   opens epochs and answers openings
//	shares     draws, announces, offers and takes shares
//	sessions   completes epochs, confirms, forgets
//	requests   asks for epochs; who asked, who was silent
//	epochs     what is known of each epoch, and which session is used
//	evidences  who cheated, and messages that came before their time
//	ground     the step's time and outputs, the roster, the network
type Machine struct {
	repairs
}

// Errors of New.
var (
	errSelf   = errors.New("this member is not in the roster")
	errConfig = errors.New("a sign function and a role are required")
)

// New makes a machine from its configuration and the records persisted earlier, and returns what is to be done first.
func New(cfg Config, now time.Time) (*Machine, []event.Output, error) {
	if cfg.Sign == nil || cfg.Self == "" {
		return nil, nil, errConfig
	}
	if cfg.Verify == nil {
		cfg.Verify = envelope.Verify
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Limits == (limits.Limits{}) {
		cfg.Limits = limits.Default()
	}
	m := &Machine{}
	m.cfg, m.Now = cfg, now
	m.rosters, m.online, m.evidence = map[wire.RosterHash]*roster.View{}, map[wire.Role]bool{}, map[wire.Role]evidence{}
	m.byID, m.dropped, m.floor = map[wire.EpochID]*epoch{}, map[wire.EpochID]time.Time{}, map[wire.Role]uint64{}
	m.asked, m.early = asking.NewBook(), early.NewQueue(cfg.Limits.MaxWaiting)
	m.answeredBy, m.unseen, m.unwraps = map[wire.Role]time.Time{}, map[wire.EpochID]*clock.Timer{}, map[uint64]*unwrap{}
	m.evidences.receive = m.receive
	records := cfg.Records
	m.cfg.Records = nil
	m.setRoster(cfg.Roster)
	if m.self < 0 {
		return nil, nil, errSelf
	}
	m.restore(records)
	m.plausible() // a clock may have been wrong before
	m.ask.Reset(now)
	m.advance()
	return m, m.take(), nil
}

// Step takes one input and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, in event.Input) []event.Output {
	m.seeClock(now)
	if m.self < 0 {
		return m.stepRemoved(in)
	}
	switch in := in.(type) {
	case event.Tick:
	case event.Control:
		m.receive(early.Message{Raw: in.Raw, Ref: in.Ref})
	case event.Envelope:
		m.receive(early.Message{Raw: in.Raw, Ref: in.Ref})
	case event.Unwrapped:
		m.onUnwrapped(in)
	case event.RosterIs:
		m.onRoster(in.Roster)
	case event.RelayUp:
		m.onRelayUp(in.Database)
	case event.RelayDown:
		m.relayUp = false
	case event.MailStored:
		m.onStored(in.Parcel)
	case event.ShareDelivered:
		m.onDelivered(in.Parcel)
	case event.ShareFailed:
		m.onFailed(in.Parcel)
	case event.Rekey:
		m.onRekey()
	case event.StartBehind:
		m.onStartBehind(in.Transcript)
	case event.SawBehind:
		m.onSawBehind(in)
	case event.Online:
		m.onOnline(in.Role)
	case event.Offline:
		delete(m.online, in.Role)
		if in.Role != m.cfg.Self {
			delete(m.asked.Newest, in.Role)
		}
	}
	m.advance()
	return m.take()
}

// stepRemoved is Step for a member that the roster no longer has: it waits for one that does.
func (m *Machine) stepRemoved(in event.Input) []event.Output {
	switch in := in.(type) {
	case event.Unwrapped:
		delete(m.unwraps, in.Token)
	case event.RosterIs:
		m.onRoster(in.Roster)
	case event.RelayUp:
		m.relayUp, m.database = true, in.Database
	case event.RelayDown:
		m.relayUp = false
	case event.Online:
		m.online[in.Role] = true
	case event.Offline:
		delete(m.online, in.Role)
	}
	m.advance()
	return m.take()
}

// Deadline returns when the machine wants a Tick, if it wants one.
func (m *Machine) Deadline() (time.Time, bool) { return m.Wake, !m.Wake.IsZero() }

// advance does everything that is due, until nothing more follows from it.
func (m *Machine) advance() {
	m.Wake = time.Time{}
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

// take returns the step's outputs, records first: that is the order in which the driver must have them.
func (m *Machine) take() []event.Output {
	out := m.out
	m.out = nil
	rank := func(o event.Output) int {
		switch o.(type) {
		case event.Persist, event.Erase:
			return 0
		case event.Completed:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b event.Output) int { return rank(a) - rank(b) })
	return out
}
