package node

import (
	"slices"
	"time"

	"conclave/node/keyagreement"
	"conclave/pki"
)

const (
	// rejoinAfter is how long a member that was left out of an epoch waits for a better one before it asks, and
	// rejoinTurn how much longer each member waits than the one before it in role order: one request is enough for all.
	rejoinAfter = time.Second
	rejoinTurn  = 300 * time.Millisecond
	// rejoinMembers is the largest roster in which anybody asks. In a larger one an epoch without this or that present
	// member is nothing unusual, and one more costs everybody a private-key operation for everybody else.
	rejoinMembers = 16
	// rejoinMax is the longest wait; it doubles each time that asking did not help.
	rejoinMax = 5 * time.Minute
)

// rejoin asks for a new epoch when this member was here while the present one was opened and is not part of it. Two who
// open at once without having heard of each other leave epochs that some present member did not contribute to, and each
// has contributed to one of them, so none would ask of itself.
type rejoin struct {
	e     *engine
	since time.Time // when this member's link came up, by its clock
	tries int
	due   time.Time
}

// up notes that this member can be heard from now on.
func (r *rejoin) up() {
	if r.since.IsZero() {
		r.since = r.e.cfg.Now()
	}
}

// down notes that it cannot.
func (r *rejoin) down() { r.since, r.due = time.Time{}, time.Time{} }

// leftOut reports whether the session in use was opened while this member was here, and without it.
func (r *rejoin) leftOut() bool {
	ch := r.e.chats.using
	if ch == nil || r.since.IsZero() || len(r.e.roster.Members) > rejoinMembers || slices.Contains(ch.about.Contributors, r.e.self) {
		return false
	}
	return ch.about.Number >= uint64(r.since.UnixMilli())
}

// look is told that another session is used.
func (r *rejoin) look() {
	if !r.leftOut() {
		r.tries, r.due = 0, time.Time{}
		return
	}
	turn := slices.IndexFunc(r.e.roster.Members, func(m pki.Member) bool { return m.Role == r.e.self })
	wait := min(rejoinAfter<<min(r.tries, 16), rejoinMax) + time.Duration(max(turn, 0))*rejoinTurn
	r.due = time.Now().Add(wait)
}

// tick asks, if nothing better has come.
func (r *rejoin) tick() {
	if r.due.IsZero() || time.Now().Before(r.due) {
		return
	}
	r.due = time.Time{}
	if r.leftOut() {
		r.tries++
		r.e.note("the present key was made without this member: asking for another")
		r.e.step(keyagreement.Rekey{})
	}
}
