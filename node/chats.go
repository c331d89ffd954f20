package node

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"

	"conclave/node/frame"
	"conclave/node/keyagreement"
	"conclave/node/order"
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

// chat is a completed epoch in use: its frame session and the lanes in which frames wait for their turn.
type chat struct {
	about  about
	frames *frame.Session
	lanes  []*lane              // by sender index; nil for this member
	index  map[wire.Role]uint16 // of each sender
	shown  bool                 // its SessionKey event was published
	agreed bool                 // by this process, not by an earlier one
}

// lane returns the lane of the sender with that index, if it is another member and has that identity key, else nil.
func (ch *chat) lane(sender uint16, identity ed25519.PublicKey) *lane {
	if int(sender) >= len(ch.lanes) {
		return nil
	}
	if l := ch.lanes[sender]; l != nil && bytes.Equal(l.member.Identity, identity) {
		return l
	}
	return nil
}

// chats are the sessions that can be read.
type chats struct {
	e        *engine
	all      map[wire.Transcript]*chat
	byPrefix map[wire.Prefix]*chat
	using    *chat // messages are sent under it; nil while they wait
	volume   bool  // a new epoch was asked for because of the present one's volume
	by       map[wire.Transcript]map[wire.Role]bool
}

func newChats(e *engine) chats {
	return chats{
		e: e, all: make(map[wire.Transcript]*chat), byPrefix: make(map[wire.Prefix]*chat),
		by: make(map[wire.Transcript]map[wire.Role]bool),
	}
}

// restore takes up the sessions of the state file. One that does not parse is left out: the machine will be told that
// it cannot be used.
func (c *chats) restore(sessions []state.Session) error {
	for _, s := range sessions {
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
func (c *chats) complete(s keyagreement.Session) {
	e := c.e
	if c.all[s.Transcript] != nil {
		return
	}
	if f := e.cfg.faults.session; f != nil {
		f(s)
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

func (c *chats) begin(s keyagreement.Session) (*frame.Session, error) {
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

// add makes a lane for each sender, at the position up to which its frames were opened.
func (c *chats) add(ch *chat) {
	at := make(map[uint16]order.Position)
	for _, p := range ch.frames.Progress() { // ascending starts
		at[p.Sender] = order.Position{Start: p.Start, Counter: p.Next}
	}
	ch.index = make(map[wire.Role]uint16)
	for i, m := range ch.frames.Members() {
		ch.index[m.Role] = uint16(i)
		var l *lane
		if i != ch.frames.Self() {
			l = newLane(ch, uint16(i), m, at[uint16(i)])
		}
		ch.lanes = append(ch.lanes, l)
	}
	c.all[ch.about.Transcript] = ch
	c.byPrefix[ch.about.Transcript.Prefix()] = ch
}

// live announces a session that is on disk, and takes in what waited for it.
func (c *chats) live(t wire.Transcript) {
	ch := c.all[t]
	if ch == nil {
		return
	}
	c.announce(ch)
	c.e.inbound.awake(ch)
}

func (c *chats) announce(ch *chat) {
	if ch.shown {
		return
	}
	ch.shown = true
	a := ch.about
	c.e.cfg.Log.Info("session key", "epoch", a.Number, "fingerprint", a.Fingerprint, "contributors", a.Contributors, "resumed", !ch.agreed)
	c.e.publish(SessionKey{
		At: c.e.at(), Epoch: a.Number, ID: a.ID, Transcript: a.Transcript, Fingerprint: a.Fingerprint,
		Contributors: a.Contributors, Resumed: !ch.agreed, Key: Key{a.Key},
	})
}

// use sends under a session from now on.
func (c *chats) use(t wire.Transcript) {
	ch := c.all[t]
	if ch == nil {
		c.e.step(keyagreement.StartBehind{Transcript: t})
		return
	}
	c.announce(ch)
	if c.using == ch {
		return
	}
	c.using, c.volume = ch, false
	c.e.outbox.switched()
	c.e.publish(Using{c.e.at(), ch.about.Number, t})
}

// hold stops sending: a member that could read the present session was removed.
func (c *chats) hold() {
	if c.using != nil {
		c.e.publish(Held{c.e.at()})
	}
	c.using = nil
	c.e.outbox.withdraw(func(*chat) bool { return true })
}

// forget erases a session.
func (c *chats) forget(t wire.Transcript) {
	ch := c.all[t]
	if ch == nil {
		return
	}
	if c.using == ch {
		c.using = nil
	}
	c.e.outbox.withdraw(func(of *chat) bool { return of == ch })
	c.e.inbound.forget(ch)
	ch.frames.Erase()
	delete(c.all, t)
	delete(c.by, t)
	if c.byPrefix[t.Prefix()] == ch {
		delete(c.byPrefix, t.Prefix())
	}
}

// confirmed tells that a member holds an epoch's key.
func (c *chats) confirmed(o keyagreement.Confirmed) {
	ch := c.all[o.Transcript]
	if ch == nil {
		return
	}
	c.holds(o.Transcript, o.Role)
	c.e.publish(Confirmed{c.e.at(), ch.about.Number, o.Epoch, o.Role})
}

// recall takes over who had confirmed before this process started.
func (c *chats) recall(epochs []keyagreement.EpochView) {
	for _, epoch := range epochs {
		for _, role := range epoch.Confirmed {
			if c.all[epoch.Transcript] != nil {
				c.holds(epoch.Transcript, role)
			}
		}
	}
}

func (c *chats) holds(t wire.Transcript, role wire.Role) {
	if c.by[t] == nil {
		c.by[t] = make(map[wire.Role]bool)
	}
	c.by[t][role] = true
}

// newest returns the session with the highest number, nil without any.
func (c *chats) newest() (newest *chat) {
	for _, ch := range c.all {
		if newest == nil || older(newest, ch) < 0 {
			newest = ch
		}
	}
	return newest
}

// older orders sessions by epoch number.
func older(a, b *chat) int {
	return cmp.Or(cmp.Compare(a.about.Number, b.about.Number), strings.Compare(string(a.about.Transcript[:]), string(b.about.Transcript[:])))
}
