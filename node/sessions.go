package node

import (
	"encoding/json"
	"fmt"

	"conclave/node/delivery"
	"conclave/node/frame"
	"conclave/node/keyagreement/event"
	"conclave/node/state"
	"conclave/overlay/wire"
)

// about is what is remembered of a session beside its chains. It holds Kabc, which is no secret to anybody who holds
// the state file: the shares it is made of are among the key agreement's records, for as long.
type about struct {
	Number       uint64
	ID           wire.EpochID
	Transcript   wire.Transcript
	Contributors []wire.Role
	Fingerprint  string
	Key          [32]byte
}

// chat is a completed epoch in use.
type chat struct {
	about     about
	frames    *frame.Session
	announced bool // its SessionKey event was published
	agreed    bool // by this process, not by an earlier one
	confirmed map[wire.Role]bool
}

// sessions are the sessions that can be read: as the key agreement completes them, for the ledger and for screens.
type sessions struct {
	e     *engine
	all   map[wire.Transcript]*chat
	using *chat // messages are sent under it; nil while they wait
}

func newSessions(e *engine) sessions { return sessions{e: e, all: make(map[wire.Transcript]*chat)} }

// restore takes up the sessions of the state file. One that does not parse is left out: the machine will be told that
// it cannot be used.
func (c *sessions) restore(list []state.Session) error {
	for _, s := range list {
		var a about
		if err := json.Unmarshal(s.About, &a); err != nil || a.Transcript != s.Transcript {
			return fmt.Errorf("the state file's session %s is not readable", s.Transcript)
		}
		frames, err := frame.Restore(s.State, c.e.random)
		if err != nil {
			c.e.cfg.Log.Error("a session of the state file cannot be restored", "epoch", a.Number, "err", err)
			c.e.ledger.Change().Forget(s.Transcript)
			continue
		}
		c.add(&chat{about: a, frames: frames})
	}
	return nil
}

// complete begins a session and puts it into the ledger: it is part of the step that completed it.
func (c *sessions) complete(s event.Session) {
	e := c.e
	if c.all[s.Transcript] != nil {
		return
	}
	a := about{Number: s.Number, ID: s.ID, Transcript: s.Transcript, Contributors: s.Contributors, Fingerprint: s.Fingerprint}
	key := s.Key.Bytes()
	copy(a.Key[:], key)
	clear(key)
	frames, err := c.begin(s)
	if err != nil {
		e.cfg.Log.Error("a session cannot begin", "epoch", s.Number, "err", err)
		return
	}
	text, err := json.Marshal(a)
	if err != nil {
		panic("a session's description does not marshal: " + err.Error()) // it is made of numbers and strings
	}
	point := frames.Checkpoint()
	e.ledger.Change().AddSession(state.Session{Transcript: s.Transcript, About: text, State: point.Bytes()})
	e.ledger.Then(func() { frames.Committed(point) })
	c.add(&chat{about: a, frames: frames, agreed: true})
}

func (c *sessions) begin(s event.Session) (*frame.Session, error) {
	cfg := frame.Config{Group: c.e.cfg.Group.ID, Transcript: s.Transcript, Self: -1, Rand: c.e.random}
	for i, m := range s.Members {
		cfg.Members = append(cfg.Members, frame.Member{Role: m.Role, Identity: m.Identity[:]})
		if m.Role == c.e.self {
			cfg.Self = i
		}
	}
	secret := s.PRK.Bytes()
	defer clear(secret)
	prk, err := frame.NewPRK(secret)
	if err != nil {
		return nil, err
	}
	defer prk.Clear()
	cfg.PRK = prk
	return frame.New(cfg)
}

func (c *sessions) add(ch *chat) {
	ch.confirmed = make(map[wire.Role]bool)
	c.all[ch.about.Transcript] = ch
	c.e.deliver(delivery.Session{Transcript: ch.about.Transcript, Epoch: ch.about.Number, Frames: ch.frames, Resumed: !ch.agreed})
}

// live announces a session that is on disk, and takes in what waited for it.
func (c *sessions) live(t wire.Transcript) {
	if ch := c.all[t]; ch != nil {
		c.announce(ch)
		c.e.deliver(delivery.Live{Transcript: t})
	}
}

func (c *sessions) announce(ch *chat) {
	if ch.announced {
		return
	}
	ch.announced = true
	a := ch.about
	c.e.cfg.Log.Info("session key", "epoch", a.Number, "fingerprint", a.Fingerprint, "contributors", a.Contributors, "resumed", !ch.agreed)
	c.e.publish(SessionKey{
		At: c.e.at(), Epoch: a.Number, ID: a.ID, Transcript: a.Transcript, Fingerprint: a.Fingerprint,
		Contributors: a.Contributors, Resumed: !ch.agreed, Key: Key{a.Key},
	})
}

// use sends under a session from now on.
func (c *sessions) use(t wire.Transcript) {
	ch := c.all[t]
	if ch == nil {
		c.e.step(event.StartBehind{Transcript: t})
		return
	}
	c.announce(ch)
	if c.using == ch {
		return
	}
	c.using = ch
	c.e.deliver(delivery.Use{Transcript: t})
	c.e.publish(Using{c.e.at(), ch.about.Number, t})
}

// hold stops sending: a member that could read the present session was removed.
func (c *sessions) hold() {
	if c.using != nil {
		c.e.publish(Held{c.e.at()})
	}
	c.using = nil
	c.e.deliver(delivery.Hold{})
}

// forget erases a session.
func (c *sessions) forget(t wire.Transcript) {
	ch := c.all[t]
	if ch == nil {
		return
	}
	if c.using == ch {
		c.using = nil
	}
	c.e.deliver(delivery.Forget{Transcript: t})
	ch.frames.Erase()
	delete(c.all, t)
}

// confirmed tells that a member holds an epoch's key.
func (c *sessions) confirmed(o event.Confirmed) {
	if ch := c.all[o.Transcript]; ch != nil {
		ch.confirmed[o.Role] = true
		c.e.publish(Confirmed{c.e.at(), ch.about.Number, o.Epoch, o.Role})
	}
}

// recall takes over who had confirmed before this process started.
func (c *sessions) recall(epochs []event.EpochView) {
	for _, epoch := range epochs {
		if ch := c.all[epoch.Transcript]; ch != nil {
			for _, role := range epoch.Confirmed {
				ch.confirmed[role] = true
			}
		}
	}
}

// checkpoints adds the states of all frame sessions that changed to what is committed next.
func (c *sessions) checkpoints(buffer func() []byte, add func(wire.Transcript, []byte, func())) {
	for _, ch := range c.all {
		if ch.frames.Dirty() {
			point := ch.frames.CheckpointIn(buffer())
			add(ch.about.Transcript, point.Bytes(), func() { ch.frames.Committed(point) })
		}
	}
}
