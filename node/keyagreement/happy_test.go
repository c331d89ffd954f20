package keyagreement

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"

	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// person is a member with real keys.
type person struct {
	role   wire.Role
	id     ed25519.PrivateKey
	rsa    *rsa.PrivateKey
	member Member
}

func newPerson(t testing.TB, role wire.Role, key *rsa.PrivateKey) *person {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &person{role, priv, key, Member{Role: role, Identity: [32]byte(pub), Unwrap: sha256.Sum256(key.N.Bytes())}}
}

func (p *person) sign(b []byte) []byte { return ed25519.Sign(p.id, b) }

func (p *person) config(r Roster) Config {
	c := Config{Group: wire.GroupID{7}, Self: p.role, Roster: r, Sign: p.sign}
	_, _ = rand.Read(c.Instance[:])
	return c
}

// party runs members with real cryptography over a network that loses nothing.
type party struct {
	t       testing.TB
	now     time.Time
	people  map[wire.Role]*person
	live    map[wire.Role]*Machine
	records map[wire.Role]map[string][]byte
	got     map[wire.Role][]event.Session
	using   map[wire.Role]wire.Transcript
	log     map[wire.Role][]event.Output
	queue   []func()
	quiet   bool                        // keep no log
	ahead   map[wire.Role]time.Duration // by which a member's clock is wrong
}

func newParty(t testing.TB, keys []*rsa.PrivateKey, roles ...wire.Role) (*party, Roster) {
	p := &party{
		t: t, now: time.UnixMilli(1_800_000_000_000), people: map[wire.Role]*person{}, live: map[wire.Role]*Machine{},
		records: map[wire.Role]map[string][]byte{}, got: map[wire.Role][]event.Session{}, using: map[wire.Role]wire.Transcript{},
		log: map[wire.Role][]event.Output{}, ahead: map[wire.Role]time.Duration{},
	}
	r := Roster{Version: 1, Hash: wire.RosterHash{1}, Expires: p.now.Add(365 * 24 * time.Hour)}
	for i, role := range roles {
		p.people[role] = newPerson(t, role, keys[i%len(keys)])
		r.Members = append(r.Members, p.people[role].member)
	}
	return p, r
}

func (p *party) start(role wire.Role, r Roster) {
	c := p.people[role].config(r)
	c.Records = p.records[role]
	if c.Records == nil {
		p.records[role] = map[string][]byte{}
	}
	m, out, err := New(c, p.now)
	if err != nil {
		p.t.Fatal(err)
	}
	p.live[role] = m
	p.perform(role, out)
	p.step(role, event.RelayUp{Database: wire.DatabaseID{1}})
	p.settle()
}

func (p *party) step(role wire.Role, in event.Input) {
	if m := p.live[role]; m != nil {
		p.perform(role, m.Step(p.now.Add(p.ahead[role]), in))
	}
}

func (p *party) perform(role wire.Role, out []event.Output) {
	if !p.quiet {
		p.log[role] = append(p.log[role], out...)
	}
	for _, o := range out {
		switch o := o.(type) {
		case event.Persist:
			p.records[role][o.Key] = o.Value
		case event.Erase:
			delete(p.records[role], o.Key)
		case event.Broadcast:
			for other := range p.people {
				if other != role {
					p.queue = append(p.queue, func() { p.step(other, event.Control{Raw: o.Raw}) })
				}
			}
		case event.Wrap:
			p.queue = append(p.queue, func() {
				from, to := p.people[role], p.people[o.Parcel.To]
				raw, err := envelope.Seal(rand.Reader, &to.rsa.PublicKey, from.member.Identity, from.sign, o)
				if err != nil {
					p.t.Fatal(err)
				}
				if p.live[to.role] == nil {
					p.step(role, event.ShareFailed{Parcel: o.Parcel})
					return
				}
				p.step(to.role, event.Envelope{Raw: raw})
				p.step(role, event.ShareDelivered{Parcel: o.Parcel})
			})
		case event.Unwrap:
			p.queue = append(p.queue, func() { p.step(role, envelope.Open(p.people[role].rsa, o)) })
		case event.Completed:
			p.got[role] = append(p.got[role], o.Session)
		case event.Use:
			p.using[role] = o.Transcript
		case event.Hold:
			p.using[role] = wire.Transcript{}
		}
	}
}

// settle runs what is queued.
func (p *party) settle() {
	for len(p.queue) > 0 {
		next := p.queue[0]
		p.queue = p.queue[1:]
		next()
	}
}

// run lets time pass, tick by tick.
func (p *party) run(d time.Duration) {
	for end := p.now.Add(d); ; {
		at := end
		for role, m := range p.live {
			if t, ok := m.Deadline(); ok && t.Add(-p.ahead[role]).Before(at) {
				at = t.Add(-p.ahead[role])
			}
		}
		p.now = at
		for role, m := range p.live {
			if t, ok := m.Deadline(); ok && !t.Add(-p.ahead[role]).After(at) {
				p.step(role, event.Tick{})
			}
		}
		p.settle()
		if !at.Before(end) {
			return
		}
	}
}

func testKeys(t testing.TB, n int) (keys []*rsa.PrivateKey) {
	for range n {
		k, err := rsa.GenerateKey(rand.Reader, 3072)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

// agree asserts that all live members use one session and returns it.
func (p *party) agree(roles ...wire.Role) event.Session {
	p.t.Helper()
	var first event.Session
	for i, role := range roles {
		var s event.Session
		for _, x := range p.got[role] {
			if x.Transcript == p.using[role] {
				s = x
			}
		}
		if s.Fingerprint == "" {
			p.t.Fatalf("%s uses no session that it completed", role)
		}
		if i == 0 {
			first = s
		}
		if s.Transcript != first.Transcript || !s.PRK.Equal(first.PRK) || s.Fingerprint != first.Fingerprint {
			p.t.Fatalf("%s uses another session than %s", role, roles[0])
		}
	}
	return first
}

func TestThreeMembers(t *testing.T) {
	t.Parallel()
	p, r := newParty(t, testKeys(t, 3), "A", "B", "C")
	for _, role := range []wire.Role{"A", "B", "C"} {
		p.start(role, r)
	}
	s := p.agree("A", "B", "C")
	if len(s.Contributors) != 3 {
		t.Fatalf("contributors %v, want all three", s.Contributors)
	}
	// A restart resumes the session at once, alone.
	p.using["A"] = wire.Transcript{}
	p.start("A", r)
	p.agree("A", "B", "C")
	p.run(time.Minute)
	if got := p.agree("A", "B", "C"); got.Transcript != s.Transcript {
		t.Fatal("a restart opened a new epoch")
	}
	for role, records := range p.records {
		for key := range records {
			if key[:4] == "part" {
				t.Errorf("%s still holds %s though all have confirmed", role, key)
			}
		}
	}
	// A wiped member gets back to a key without anybody else doing anything.
	p.records["B"], p.using["B"], p.got["B"] = nil, wire.Transcript{}, nil
	p.start("B", r)
	p.run(20 * time.Second)
	if got := p.agree("A", "B", "C"); got.Transcript == s.Transcript {
		t.Fatal("the wiped member has the old session")
	}
}

func TestLateThird(t *testing.T) {
	t.Parallel()
	p, r := newParty(t, testKeys(t, 3), "A", "B", "C")
	p.start("A", r)
	p.start("B", r)
	p.run(time.Hour)
	if s := p.agree("A", "B"); len(s.Contributors) != 2 {
		t.Fatalf("contributors %v, want A and B", s.Contributors)
	}
	p.start("C", r)
	p.run(time.Minute)
	if s := p.agree("A", "B", "C"); len(s.Contributors) != 3 {
		t.Fatalf("contributors %v, want all three", s.Contributors)
	}
	if len(p.got["C"]) < 2 {
		t.Fatalf("C completed %d sessions, want the pending one too", len(p.got["C"]))
	}
}
