package keyagreement

import "time"

// clockSetBack is by how much the clock has to go back for the machine to see that it had been wrong.
const clockSetBack = time.Minute

// seeClock takes the time of a step. When the clock was set back, what was to be done at a time by the wrong clock would
// have to wait for that time to come round: it is moved, and numbers that only the wrong clock allowed are forgotten.
func (m *Machine) seeClock(now time.Time) {
	by := m.Now.Sub(now)
	m.Now = now
	if by < -clockSetBack {
		m.plausible() // what a clock that was behind took for implausible
	}
	if by < clockSetBack {
		return
	}
	for _, t := range m.times() {
		if t.After(now) {
			*t = t.Add(-by)
		}
	}
	m.Forget()
	clear(m.answeredBy)
	m.asked.SetBack(now)
	m.plausible()
}

// times returns every time at which something is to be done, or from which something is counted.
func (m *Machine) times() []*time.Time {
	all := []*time.Time{&m.ask.At, &m.answered, &m.opened, &m.answeredAny, &m.beat, &m.tell.At}
	for _, t := range m.unseen {
		all = append(all, &t.At)
	}
	for _, e := range m.byID {
		all = append(all, &e.created, &e.progress, &e.answerAt, &e.lack.At)
		for _, d := range e.deliveries {
			all = append(all, &d.again.At)
		}
		if s := e.session; s != nil {
			all = append(all, &s.completed, &s.repeat.At, &s.superseded)
		}
	}
	return all
}

// plausible makes the highest known number one that others take too, and gives up epochs that they will not.
func (m *Machine) plausible() {
	limit := uint64(max(m.Now.Add(m.cfg.Limits.Ahead).UnixMilli(), 0))
	if m.highest > limit {
		m.highest = 0
	}
	for _, e := range m.order {
		if e.opening.Number <= limit {
			m.highest = max(m.highest, e.opening.Number)
		} else if e.session == nil {
			e.failed, e.answerAt = true, time.Time{}
		}
	}
	m.rekeyNumber = min(m.rekeyNumber, m.highest)
}
