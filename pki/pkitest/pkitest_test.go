package pkitest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
)

func TestGroup(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B", "C")
	if len(g.Roster.Members) != 3 || len(g.Roster.Relays) != 1 || g.Roster.Version != 1 {
		t.Fatalf("roster has %d members, %d relay nodes, version %d", len(g.Roster.Members), len(g.Roster.Relays), g.Roster.Version)
	}
	b := g.Member("B")
	if _, err := g.Roster.Verify(g.Group, b.Cert.DER, b.Cert.Peer, time.Now()); err != nil {
		t.Errorf("B is not accepted now: %v", err)
	}
	if !b.Cert.RSA.Equal(&b.RSA.PublicKey) || !b.Cert.Identity.Equal(b.Identity.Public()) {
		t.Error("B's keys are not those of its certificate")
	}
	if b.Cert.RSA.Equal(g.Member("A").Cert.RSA) {
		t.Error("A and B have one RSA key")
	}
}

func TestReissue(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B", "C")
	c := g.Member("C").Cert
	r := g.Reissue(func(d *authority.Draft) {
		if err := d.RemoveMember("C"); err != nil {
			t.Error(err)
		}
	})
	if r.Version != 2 || r != g.Roster || r.Admits(c.Peer) {
		t.Errorf("version %d, C admitted: %v", r.Version, r.Admits(c.Peer))
	}
	if _, err := r.Verify(g.Group, c.DER, c.Peer, time.Now()); !errors.Is(err, pki.ErrNotInRoster) {
		t.Errorf("C's certificate after its removal: %v", err)
	}
}

func TestHome(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	dir, err := keystore.FindGroup(g.Home(), "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := dir.OpenMember("B")
	if err != nil {
		t.Fatal(err)
	}
	if m.Cert.Peer != g.Member("B").Cert.Peer {
		t.Error("another B came back from disk")
	}
	if _, err := dir.OpenRelay(); err != nil {
		t.Error(err)
	}
	if _, err := authority.Open(dir, authority.Options{}); err != nil {
		t.Error(err)
	}
}

func TestFast(t *testing.T) {
	t.Parallel()
	if g := pkitest.Fast(t, 100); len(g.Roster.Members) != 100 || len(g.Roster.Envelope) > 200_000 {
		t.Errorf("%d members, envelope of %d bytes", len(g.Roster.Members), len(g.Roster.Envelope))
	}
}

func TestSynctest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := pkitest.NewGroup(t, "A")
		a := g.Member("A").Cert
		if _, err := g.Roster.Verify(g.Group, a.DER, a.Peer, time.Now()); err != nil {
			t.Errorf("at %s: %v", time.Now(), err)
		}
	})
}

func BenchmarkNewGroup(b *testing.B) {
	for b.Loop() {
		pkitest.NewGroup(b, "A", "B", "C")
	}
}
