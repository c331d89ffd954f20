package pki_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"
)

func TestRosterLookup(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "C", "A", "B")
	r := g.Roster
	for i, role := range []wire.Role{"A", "B", "C"} {
		m, ok := r.Member(role)
		if !ok || m.Role != role || r.Members[i].Role != role {
			t.Errorf("member %s: %v %v, at %d is %s", role, m.Certificate, ok, i, r.Members[i].Role)
		}
		byPeer, at, ok := r.MemberByPeer(m.Peer)
		if !ok || at != i || byPeer.Role != role || !r.Admits(m.Peer) {
			t.Errorf("member %s by peer: %d %v", role, at, ok)
		}
		if byKey, ok := r.MemberByIdentity(m.Identity); !ok || byKey.Role != role {
			t.Errorf("member %s by key: %v", role, ok)
		}
	}
	relay := g.Relay(0).Cert.Peer
	if _, ok := r.MemberByIdentity(g.Relay(0).Cert.Identity); ok {
		t.Error("the relay node's key is a member's")
	}
	if entry, ok := r.Relay(relay); !ok || len(entry.Addrs) != 2 || !r.Admits(relay) {
		t.Errorf("relay node: %v %v", entry.Addrs, ok)
	}
	if _, _, ok := r.MemberByPeer(relay); ok {
		t.Error("the relay node is a member")
	}
	if _, ok := r.Member("D"); ok {
		t.Error("D is a member")
	}
	stranger := peerOf(t, "stranger")
	if _, _, ok := r.MemberByPeer(stranger); ok || r.Admits(stranger) || r.Certificate(stranger) != nil {
		t.Error("a stranger is admitted")
	}
	if _, ok := r.Relay(stranger); ok {
		t.Error("a stranger is a relay node")
	}
}

func TestRosterExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := pkitest.New(t, pkitest.Config{Now: func() time.Time { return now }, Life: time.Hour})
	r, err := pki.OpenRoster(g.Group, g.Roster.Envelope, now.AddDate(5, 0, 0))
	if err != nil {
		t.Fatalf("an expired roster does not open: %v", err)
	}
	for _, c := range []struct {
		at   time.Duration
		want bool
	}{{0, false}, {time.Hour, false}, {time.Hour + time.Second, true}} {
		if got := r.Expired(now.Add(c.at)); got != c.want {
			t.Errorf("after %s: expired is %v", c.at, got)
		}
	}
	_, err = pki.OpenRoster(g.Group, g.Roster.Envelope, now.Add(-25*time.Hour))
	if !errors.Is(err, pki.ErrRosterFromFuture) {
		t.Errorf("25 hours before its issue: %v", err)
	}
	if _, err := pki.OpenRoster(g.Group, g.Roster.Envelope, now.Add(-23*time.Hour)); err != nil {
		t.Errorf("23 hours before its issue: %v", err)
	}
}

func TestRosterEveryBit(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	flipped := bytes.Clone(g.Roster.Envelope)
	for i := range len(flipped) * 8 {
		flipped[i/8] ^= 1 << (i % 8)
		_, err := pki.OpenRoster(g.Group, flipped, pkitest.Start)
		if err == nil {
			t.Fatalf("bit %d flipped: accepted", i)
		}
		if !errors.Is(err, pki.ErrRoster) && !errors.Is(err, pki.ErrRosterSignature) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
		flipped[i/8] ^= 1 << (i % 8)
	}
	if _, err := pki.OpenRoster(g.Group, flipped, pkitest.Start); err != nil {
		t.Fatalf("the envelope itself: %v", err)
	}
}

func TestRosterTruncatedOrExtended(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	whole := g.Roster.Envelope
	for n := range whole {
		if _, err := pki.OpenRoster(g.Group, whole[:n], pkitest.Start); err == nil {
			t.Fatalf("the first %d bytes are accepted", n)
		}
	}
	// An unknown field at the end changes nothing that is signed, so the library accepts it; we do not.
	extended := append(bytes.Clone(whole), 0x7a, 0x01, 0x00)
	if _, err := record.ConsumeTypedEnvelope(extended, pki.RosterRecord(nil)); err != nil {
		t.Fatalf("control: the library refuses it too: %v", err)
	}
	if _, err := pki.OpenRoster(g.Group, extended, pkitest.Start); !errors.Is(err, pki.ErrRoster) {
		t.Errorf("with an unknown field: %v", err)
	}
	if _, err := pki.OpenRoster(g.Group, make([]byte, wire.MaxRosterEnvelope+1), pkitest.Start); !errors.Is(err, pki.ErrRoster) {
		t.Errorf("too large: %v", err)
	}
}

// seal signs a payload as a roster with any key.
func seal(t *testing.T, key crypto.PrivKey, rec record.Record) []byte {
	t.Helper()
	e, err := record.Seal(rec, key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func payloadOf(t *testing.T, envelope []byte) []byte {
	t.Helper()
	e, err := record.UnmarshalEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return e.RawPayload
}

// TestRosterSignedByAnybody is the attack that ConsumeTypedEnvelope does not stop: the envelope brings its own key.
func TestRosterSignedByAnybody(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	member, err := crypto.UnmarshalEd25519PrivateKey(g.Member("A").Identity)
	if err != nil {
		t.Fatal(err)
	}
	forged := seal(t, member, pki.RosterRecord(payloadOf(t, g.Roster.Envelope)))
	if _, err := record.ConsumeTypedEnvelope(forged, pki.RosterRecord(nil)); err != nil {
		t.Fatalf("control: the library refuses it: %v", err)
	}
	if _, err := pki.OpenRoster(g.Group, forged, pkitest.Start); !errors.Is(err, pki.ErrRosterSignature) {
		t.Errorf("signed by a member: %v", err)
	}
}

func TestRosterOfAnotherGroup(t *testing.T) {
	t.Parallel()
	g, other := pkitest.NewGroup(t, "A"), pkitest.NewGroup(t, "A")
	if _, err := pki.OpenRoster(g.Group, other.Roster.Envelope, pkitest.Start); !errors.Is(err, pki.ErrRosterSignature) {
		t.Errorf("another group's roster: %v", err)
	}
}

// otherRecord is a record of another kind.
type otherRecord struct {
	record.Record
	domain, codec string
}

func (o otherRecord) Domain() string { return o.domain }
func (o otherRecord) Codec() []byte  { return []byte(o.codec) }

// TestRosterRules signs, with the true CA key, what an authority must not sign.
func TestRosterRules(t *testing.T) {
	t.Parallel()
	m := newMaker(t, "vectors")
	key, err := crypto.UnmarshalEd25519PrivateKey(m.caKey)
	if err != nil {
		t.Fatal(err)
	}
	member := func(role, id string) wire.RosterMember {
		c := m.member(id)
		c.Subject.CommonName = role
		return wire.RosterMember{Certificate: m.sign(c, m.rsaKey("A"))}
	}
	relay := func(id string, addrs ...string) wire.RosterRelay {
		r := wire.RosterRelay{Certificate: m.sign(m.relay(id), public(identity(id)))}
		for _, addr := range addrs {
			r.Addrs = append(r.Addrs, ma.StringCast(addr).Bytes())
		}
		return r
	}
	foreign := newMaker(t, "others")
	good := func() *wire.Roster {
		return &wire.Roster{
			Group: m.g.ID, Version: 3, Issued: vectorNow.Unix(), Expires: vectorNow.Unix() + 1,
			Members: []wire.RosterMember{member("A", "A"), member("B", "B")},
			Relays:  []wire.RosterRelay{relay("R", "/ip4/10.0.0.1/tcp/1/p2p/"+peerOf(t, "R").String())},
		}
	}
	for name, c := range map[string]struct {
		want   error
		change func(r *wire.Roster)
	}{
		"good":            {nil, func(*wire.Roster) {}},
		"empty":           {nil, func(r *wire.Roster) { r.Members, r.Relays = nil, nil }},
		"other group":     {pki.ErrRosterGroup, func(r *wire.Roster) { r.Group[0] ^= 1 }},
		"order":           {pki.ErrRoster, func(r *wire.Roster) { r.Members[0], r.Members[1] = r.Members[1], r.Members[0] }},
		"role twice":      {pki.ErrRoster, func(r *wire.Roster) { r.Members[1] = member("A", "B") }},
		"role in case":    {pki.ErrRoster, func(r *wire.Roster) { r.Members[1] = member("a", "B") }},
		"peer twice":      {pki.ErrRoster, func(r *wire.Roster) { r.Members[1] = member("B", "A") }},
		"member as relay": {pki.ErrRoster, func(r *wire.Roster) { r.Relays[0].Certificate = member("R", "R").Certificate }},
		"relay as member": {pki.ErrRoster, func(r *wire.Roster) { r.Members[1].Certificate = relay("B").Certificate }},
		"relay order":     {pki.ErrRoster, func(r *wire.Roster) { r.Relays = append(r.Relays, relay("Q")) }},
		"relay twice":     {pki.ErrRoster, func(r *wire.Roster) { r.Relays = append(r.Relays, relay("R")) }},
		"foreign member": {pki.ErrOtherGroup, func(r *wire.Roster) {
			r.Members[1].Certificate = foreign.sign(foreign.member("B"), m.rsaKey("B"))
		}},
		"address without peer": {pki.ErrRoster, func(r *wire.Roster) { r.Relays[0] = relay("R", "/ip4/10.0.0.1/tcp/1") }},
		"address of other peer": {pki.ErrRoster, func(r *wire.Roster) {
			r.Relays[0] = relay("R", "/ip4/10.0.0.1/tcp/1/p2p/"+peerOf(t, "A").String())
		}},
		"address of bytes": {pki.ErrRoster, func(r *wire.Roster) { r.Relays[0].Addrs = [][]byte{{0xff, 0xff}} }},
	} {
		r := good()
		c.change(r)
		payload, err := r.Marshal()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := pki.OpenRoster(m.g, seal(t, key, pki.RosterRecord(payload)), vectorNow); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	payload, err := good().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	rec := pki.RosterRecord(payload)
	otherDomain := seal(t, key, otherRecord{rec, "another domain", pki.RosterCodec})
	if _, err := pki.OpenRoster(m.g, otherDomain, vectorNow); !errors.Is(err, pki.ErrRosterSignature) {
		t.Errorf("another domain: %v", err)
	}
	otherCodec := seal(t, key, otherRecord{rec, pki.RosterDomain, "another type"})
	if _, err := pki.OpenRoster(m.g, otherCodec, vectorNow); !errors.Is(err, pki.ErrRoster) {
		t.Errorf("another payload type: %v", err)
	}
	garbage := seal(t, key, pki.RosterRecord([]byte("garbage")))
	if _, err := pki.OpenRoster(m.g, garbage, vectorNow); !errors.Is(err, pki.ErrRoster) {
		t.Errorf("garbage, well signed: %v", err)
	}
}

func TestSupersedes(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	first := g.Roster
	second := g.Reissue(nil)
	rival, err := g.Authority.SignVersion(&authority.Draft{Members: []*pki.Certificate{g.Member("A").Cert}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what     string
		new, old *pki.Roster
		want     error
	}{
		{"the first", first, nil, nil},
		{"a newer one", second, first, nil},
		{"the same", second, second, nil},
		{"an older one", first, second, pki.ErrRosterOlder},
		{"a rival", rival, second, pki.ErrRosterConflict},
	} {
		if err := c.new.Supersedes(c.old); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
}

// TestRenewedCertificate: both the certificate in the roster and the one before it are the member's.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	old := g.Member("A").Cert
	g.Reissue(func(d *authority.Draft) {
		renewed, err := g.Authority.Renew(g.Roster)
		if err != nil {
			t.Fatal(err)
		}
		*d = *renewed
	})
	renewed, _ := g.Roster.Member("A")
	if bytes.Equal(renewed.DER, old.DER) {
		t.Fatal("nothing was renewed")
	}
	for _, c := range []*pki.Certificate{old, renewed.Certificate} {
		if _, err := g.Roster.Verify(g.Group, c.DER, old.Peer, pkitest.Start); err != nil {
			t.Error(err)
		}
	}
}

func FuzzOpenRoster(f *testing.F) {
	g := pkitest.NewGroup(f, "A", "B")
	f.Add(g.Roster.Envelope)
	f.Add(g.Reissue(nil).Envelope)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := pki.OpenRoster(g.Group, data, pkitest.Start)
		if err == nil && !bytes.Equal(r.Envelope, data) {
			t.Error("the envelope that was opened is not the one that was given")
		}
	})
}
