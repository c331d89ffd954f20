package keyagreement

import "time"

// Machine is one member's key agreement. It is not safe for use by several goroutines at once.
type Machine struct{ cfg Config }

// hooks are a test's: rules switched off, and counters.
type hooks struct{}

// New makes a machine from its configuration and the records persisted earlier, and returns what is to be done first.
func New(cfg Config, now time.Time) (*Machine, []Output, error) {
	return &Machine{cfg: cfg}, nil, nil
}

// Step takes one input and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, in Input) []Output { return nil }

// Deadline returns when the machine wants a Tick, if it wants one.
func (m *Machine) Deadline() (time.Time, bool) { return time.Time{}, false }
