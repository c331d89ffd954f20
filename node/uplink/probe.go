package uplink

import (
	"context"
	"errors"
	"slices"
	"time"

	"conclave/overlay/session"
)

const (
	// beat is how often a link is looked at, at least.
	beat = time.Second
	// late is by how much a beat may come late before the process is taken to have been stopped meanwhile.
	late = 2 * time.Second
	// slowest is the line, in bytes a second, on which what was sent before a probe is still waited for: 64 kbit/s.
	slowest = 8 << 10
	// topicMissed is how long the relay node may be out of the topic.
	topicMissed = 3 * time.Second
	// meshEach is how much longer for each member it may take until the topic is there: they may all come at once.
	meshEach = 20 * time.Millisecond
)

var (
	// errNoTopic is the reason of a link that ended because the relay node does not take part in the topic.
	errNoTopic = errors.New("the relay node is not in the topic")
	// errNotCarried is the reason of a link that ended because the topic did not carry what it should have.
	errNotCarried = errors.New("what is sent over the topic does not arrive")
	// errSilent is the reason of a link that ended because a probe was not answered.
	errSilent = errors.New("the relay node does not answer")
)

// probes decides whether the other end of a link is there. It knows of sockets nothing: what counts is that something
// comes back.
type probes struct {
	l    *supervisor
	conn *session.Conn

	asked    time.Time     // of the probe that is not answered; zero without one
	patience time.Duration // how long it is waited for
	beat     time.Time     // the last
	inTopic  time.Time     // when the relay node was last seen there
}

// heard is when anything last came from the relay node, on the session or over the topic.
func (p *probes) heard() time.Time {
	heard := p.conn.Heard()
	if at := p.l.cfg.TopicHeard(p.l.relay); at.After(heard) {
		return at
	}
	return heard
}

// until is when a probe that is not answered ends the link: when its patience is over, and what was sent before it has had
// its time on a slow line.
func (p *probes) until() time.Time {
	line := LineTime(p.conn.Unheard() + p.l.cfg.InFlight())
	return p.asked.Add(max(p.patience, line+p.patience/2))
}

// LineTime is how long so many bytes are on their way over the slowest line.
func LineTime(bytes int) time.Duration { return time.Duration(bytes) * time.Second / slowest }

// ask probes now. A probe that is waited for already is not waited for longer.
func (p *probes) ask(now time.Time, patience time.Duration) {
	patience = max(patience, 4*p.conn.RTT())
	until := now.Add(patience)
	if !p.asked.IsZero() && p.asked.Add(p.patience).Before(until) {
		return
	}
	p.asked, p.patience = now, patience
	_ = p.conn.Probe() // a full queue is probe enough
}

// look takes a beat and returns how long the next may wait, or why the link has to end.
func (p *probes) look(now time.Time, changed bool) (time.Duration, error) {
	t := p.l.cfg.Timing
	switch {
	case changed:
		p.ask(now, t.ProbeQuick)
	case now.Sub(p.beat) > beat+late: // or this machine is so busy that answers are late, too
		p.ask(now, max(t.ProbeQuick, t.ProbeTimeout/2))
	}
	p.beat = now
	heard := p.heard()
	if !p.asked.IsZero() && heard.After(p.asked) {
		p.asked = time.Time{}
	}
	due := heard.Add(t.ProbeEvery)
	if p.asked.IsZero() && !now.Before(due) {
		p.ask(now, t.ProbeTimeout)
	}
	if !p.asked.IsZero() {
		due = p.until()
		if !now.Before(due) {
			return 0, errSilent
		}
	}
	if slices.Contains(p.l.net.Topic.Peers(), p.l.relay) {
		p.inTopic = now
	} else if now.Sub(p.inTopic) > topicMissed {
		return 0, errNoTopic
	}
	return max(time.Millisecond, min(due.Sub(now), beat)), nil
}

// guard tells when the topic is there too, and ends the session when the relay node does not answer, or is not in
// the topic, any more.
func (l *supervisor) guard(ctx context.Context, conn *session.Conn, end context.CancelCauseFunc) {
	meshed := make(chan error, 1)
	most := topicMissed + 4*l.took + time.Duration(len(l.cfg.Roster().Members))*meshEach
	limited, cancel := context.WithTimeout(ctx, min(l.cfg.Timing.DialTimeout, most))
	defer cancel()
	go func() { meshed <- l.net.Topic.Meshed(limited, l.relay) }()
	defer func() { cancel(); <-meshed }()
	now := time.Now()
	p := &probes{l: l, conn: conn, beat: now, inTopic: now}
	timer := time.NewTimer(beat)
	defer timer.Stop()
	joined := meshed
	for {
		changed := false
		select {
		case <-ctx.Done():
			return
		case err := <-joined:
			meshed <- nil
			joined = nil
			if err != nil {
				end(errNoTopic)
				return
			}
			l.step(StepTopic, "%s", l.net.TopicName)
			l.cfg.Sink.Changed(ctx, Change{Relay: l.relay, State: Ready, Conn: conn})
			continue
		case <-l.kick:
			changed = true
		case <-l.doubt:
			end(errNotCarried)
			return
		case <-timer.C:
		}
		if changed && l.watch.stranded(l.net.Host, l.relay) {
			end(errChanged)
			return
		}
		wait, err := p.look(time.Now(), changed)
		if err != nil {
			end(err)
			return
		}
		timer.Reset(wait)
	}
}
