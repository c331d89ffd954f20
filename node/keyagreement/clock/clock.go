// Package clock is the time of a stepped machine: what the time is in this step, when something is due, and when the machine
// wants to be stepped again.
//
// It reads no clock: whoever steps the machine says what time it is. It may be imported by the key agreement.
package clock

import (
	"time"

	"conclave/overlay/backoff"
)

// maxNames bounds the names that Allow remembers.
const maxNames = 4096

// Clock is the time of the step being taken.
type Clock struct {
	Now  time.Time
	Wake time.Time // the next time anything is due; zero: never

	allowed map[string]time.Time
}

// Timer is a repeated action.
type Timer struct {
	At time.Time // when it is due next; zero: never
	N  int       // how often it has run
}

// Reset makes it due at a time, as if for the first time.
func (t *Timer) Reset(at time.Time) { *t = Timer{At: at} }

// Stop makes it never due.
func (t *Timer) Stop() { t.At = time.Time{} }

// Due tells whether a timer has run out, and if so sets it again: first later, doubled each time, at most max.
func (c *Clock) Due(t *Timer, first, max time.Duration) bool {
	if t.At.IsZero() || !c.Reached(t.At) {
		return false
	}
	t.At = c.Now.Add(backoff.Wait(first, max, t.N))
	t.N++
	c.WakeAt(t.At)
	return true
}

// Reached tells whether a time has come; if not the machine asks for a step then.
func (c *Clock) Reached(t time.Time) bool {
	if c.Now.Before(t) {
		c.WakeAt(t)
		return false
	}
	return true
}

// WakeAt asks for a step at a time.
func (c *Clock) WakeAt(t time.Time) {
	if c.Wake.IsZero() || t.Before(c.Wake) {
		c.Wake = t
	}
}

// Allow tells whether something named may be done again, at most once in each span.
func (c *Clock) Allow(name string, span time.Duration) bool {
	if t, ok := c.allowed[name]; ok && c.Now.Sub(t) < span && !c.Now.Before(t) {
		return false
	}
	if c.allowed == nil || len(c.allowed) > maxNames {
		c.allowed = make(map[string]time.Time)
	}
	c.allowed[name] = c.Now
	return true
}

// Forget has everything that Allow remembers allowed again.
func (c *Clock) Forget() { clear(c.allowed) }
