package authority_test

import (
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
)

func TestFound(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	plan := authority.Plan{Name: "ops", Members: []wire.Role{"B", "A"}, RelayAddrs: []ma.Multiaddr{ma.StringCast("/dns4/relay.example/tcp/4001")}}
	dir, roster, err := authority.Found(home, plan, authority.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if roster.Version != 1 || len(roster.Members) != 2 || len(roster.Relays) != 1 {
		t.Errorf("version %d, %d members, %d relay nodes", roster.Version, len(roster.Members), len(roster.Relays))
	}
	relay, err := dir.OpenRelay()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := roster.Relays[0].Addrs[0].String(), "/dns4/relay.example/tcp/4001/p2p/"+relay.Cert.Peer.String(); got != want {
		t.Errorf("address %s, want %s", got, want)
	}
	for _, role := range plan.Members {
		m, err := dir.OpenMember(role)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := roster.Verify(m.Group, m.Cert.DER, m.Cert.Peer, time.Now()); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		if left := time.Until(m.Cert.NotAfter); left < 364*24*time.Hour || left > 366*24*time.Hour {
			t.Errorf("%s's certificate lasts %s", role, left)
		}
	}
	if _, _, err := authority.Found(home, plan, authority.Options{}); !errors.Is(err, keystore.ErrGroupExists) {
		t.Errorf("a second time: %v", err)
	}
	checkLeftovers(t, home)
}

// TestFoundIsAllOrNothing: a plan that fails leaves no group behind, not even a part of one.
func TestFoundIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, plan := range []authority.Plan{
		{Name: "../ops"},
		{Name: "ops", Members: []wire.Role{"A", "a"}},
		{Name: "ops", Members: []wire.Role{"no role"}},
		{Name: "ops", RelayAddrs: []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/1/p2p/12D3KooWSQMrCPJXiFnmWgiD8YmsDWimZS9FyyDf88mMUk7jNKXv")}},
	} {
		home := t.TempDir()
		if _, _, err := authority.Found(home, plan, authority.Options{}); err == nil {
			t.Errorf("%+v: accepted", plan)
		}
		if groups, err := keystore.Groups(home); err != nil || len(groups) > 0 {
			t.Errorf("%+v: groups %v, %v", plan, groups, err)
		}
		checkLeftovers(t, home)
	}
}

func checkLeftovers(t *testing.T, home string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(home, ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestOpenNeedsTheKey(t *testing.T) {
	t.Parallel()
	g, other := pkitest.NewGroup(t, "A"), pkitest.NewIdentity(t)
	if _, err := authority.New(g.Group, other, authority.Options{}); !errors.Is(err, authority.ErrNotTheKey) {
		t.Errorf("another key: %v", err)
	}
	dir, err := keystore.FindGroup(g.Home(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := keystore.WriteKey(dir.AuthorityFile(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(dir, authority.Options{}); !errors.Is(err, authority.ErrNotTheKey) {
		t.Errorf("another key on disk: %v", err)
	}
	if err := os.Chmod(dir.AuthorityFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	var refused *keystore.OpenModeError
	if _, err := authority.Open(dir, authority.Options{}); !errors.As(err, &refused) {
		t.Errorf("a CA key that everybody may read: %v", err)
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	identity := pkitest.NewIdentity(t).Public().(ed25519.PublicKey)
	key := pkitest.RSAKey(t, 0).PublicKey
	if _, err := g.Authority.IssueMember("no role", identity, &key); !errors.Is(err, wire.ErrRole) {
		t.Errorf("a bad role: %v", err)
	}
	key.E = 3
	if _, err := g.Authority.IssueMember("B", identity, &key); !errors.Is(err, pki.ErrRSAExponent) {
		t.Errorf("exponent 3: %v", err)
	}
	if _, err := g.Authority.IssueMember("B", identity[:31], &pkitest.RSAKey(t, 0).PublicKey); err == nil {
		t.Error("an identity of 31 bytes is accepted")
	}
}

func TestDraft(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	d := authority.DraftOf(g.Roster)
	if err := d.RemoveMember("C"); !errors.Is(err, authority.ErrNobody) {
		t.Errorf("removing C: %v", err)
	}
	if err := d.RemoveRelay("B"); !errors.Is(err, authority.ErrNobody) {
		t.Errorf("removing B as a relay node: %v", err)
	}
	replaced := g.AddMember("a") // takes A's place: names are one in upper and lower case
	d.SetMember(replaced.Cert)
	if err := d.RemoveRelay(authority.RelayName); err != nil {
		t.Error(err)
	}
	r, err := g.Authority.Sign(d, g.Roster)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Members) != 2 || len(r.Relays) != 0 || r.Version != 2 || !r.Admits(replaced.Cert.Peer) || r.Admits(g.Member("A").Cert.Peer) {
		t.Errorf("%d members, %d relay nodes, version %d", len(r.Members), len(r.Relays), r.Version)
	}
	if len(g.Roster.Members) != 2 || len(g.Roster.Relays) != 1 {
		t.Error("the roster before was changed")
	}
	empty, err := g.Authority.Sign(authority.DraftOf(nil), nil)
	if err != nil || empty.Version != 1 {
		t.Errorf("an empty group: %v", err)
	}
}

// TestOpenSSL checks what is written with somebody else's eyes.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	openssl := pkitest.Tool(t, "openssl")
	dir, err := keystore.FindGroup(pkitest.NewGroup(t, "A").Home(), "")
	if err != nil {
		t.Fatal(err)
	}
	run := func(want string, args ...string) {
		t.Helper()
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir.Path()
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("openssl %s: %v, %q not in\n%s", strings.Join(args, " "), err, want, out)
		}
	}
	run("members/A/cert.pem: OK", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", "ca.pem", "members/A/cert.pem")
	run("relay/cert.pem: OK", "verify", "-CAfile", "ca.pem", "relay/cert.pem")
	for _, want := range []string{"CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "Name Constraints: critical", "ED25519"} {
		run(want, "x509", "-noout", "-text", "-in", "ca.pem")
	}
	for _, want := range []string{"Subject: CN = A", "(3072 bit)", "Exponent: 65537", "Key Encipherment", "CA:FALSE", "2.25.1129270851.1", "URI:libp2p://"} {
		run(want, "x509", "-noout", "-text", "-nameopt", "space_eq,sep_comma_plus_space", "-in", "members/A/cert.pem")
	}
	for _, want := range []string{"Digital Signature", "2.25.1129270851.2"} {
		run(want, "x509", "-noout", "-text", "-in", "relay/cert.pem")
	}
	run("", "pkey", "-noout", "-check", "-in", "members/A/rsa.pem")
	for _, key := range []string{"members/A/identity.pem", "relay/identity.pem", "authority/ca-key.pem"} {
		run("ED25519 Private-Key", "pkey", "-noout", "-text", "-in", key)
	}
	der, err := pki.NewRequest("B", pkitest.NewIdentity(t), &pkitest.RSAKey(t, 0).PublicKey, pki.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	if err := keystore.WriteFile(filepath.Join(dir.Path(), "b.req"), keystore.EncodeRequest(der)); err != nil {
		t.Fatal(err)
	}
	run("verify OK", "req", "-noout", "-verify", "-in", "b.req")
}
