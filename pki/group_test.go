package pki_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"conclave/pki"
	"conclave/pki/pkitest"
)

// TestParseGroup changes one thing at a time in a CA certificate that is otherwise right.
func TestParseGroup(t *testing.T) {
	t.Parallel()
	key := identity("CA")
	host := strings.Repeat("0", 32)
	good := func() *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Conclave"}, CommonName: "ops"},
			NotBefore: vectorNow, NotAfter: vectorNow.AddDate(20, 0, 0),
			KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
			PermittedDNSDomainsCritical: true, PermittedURIDomains: []string{host},
		}
	}
	der := func(c *x509.Certificate) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	first, err := x509.ParseCertificate(der(good()))
	if err != nil {
		t.Fatal(err)
	}
	host = pki.Host(pki.GroupIDOf(first)) // known once there is a key
	if g, err := pki.ParseGroup(der(good())); err != nil || g.Name != "ops" {
		t.Fatalf("the good one: %v", err)
	}
	for name, change := range map[string]func(c *x509.Certificate){
		"not a CA":           func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false },
		"no path length":     func(c *x509.Certificate) { c.MaxPathLenZero = false },
		"path length 1":      func(c *x509.Certificate) { c.MaxPathLen = 1 },
		"key usage":          func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature },
		"no key usage":       func(c *x509.Certificate) { c.KeyUsage = 0 },
		"no organization":    func(c *x509.Certificate) { c.Subject.Organization = nil },
		"other organization": func(c *x509.Certificate) { c.Subject.Organization = []string{"Other"} },
		"no name":            func(c *x509.Certificate) { c.Subject.CommonName = "" },
		"bad name":           func(c *x509.Certificate) { c.Subject.CommonName = "../ops" },
		"no constraint":      func(c *x509.Certificate) { c.PermittedURIDomains = nil },
		"other constraint":   func(c *x509.Certificate) { c.PermittedURIDomains = []string{"example.org"} },
		"more constraint":    func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.org"} },
		"not critical":       func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false },
		"extended key usage": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} },
		"unknown extension":  func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{{Id: pki.OIDRequestRSA}} },
	} {
		c := good()
		change(c)
		if _, err := pki.ParseGroup(der(c)); !errors.Is(err, pki.ErrGroup) {
			t.Errorf("%s: got %v, want %v", name, err, pki.ErrGroup)
		}
	}
	flipped := der(good())
	flipped[len(flipped)-1] ^= 1
	for name, bad := range map[string][]byte{
		"flipped": flipped, "empty": nil, "too large": make([]byte, 9000), "trailing": append(der(good()), 0), "rsa": rsaCA(t, good()),
	} {
		if _, err := pki.ParseGroup(bad); !errors.Is(err, pki.ErrGroup) {
			t.Errorf("%s: got %v, want %v", name, err, pki.ErrGroup)
		}
	}
}

// rsaCA is a CA certificate that is right but for its RSA key.
func rsaCA(t *testing.T, c *x509.Certificate) []byte {
	t.Helper()
	key := pkitest.RSAKey(t, 0)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	c.PermittedURIDomains = []string{pki.Host(pki.GroupIDOf(&x509.Certificate{RawSubjectPublicKeyInfo: spki}))}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestWarning(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		left time.Duration
		want string
	}{
		{31 * 24 * time.Hour, ""},
		{30*24*time.Hour + time.Second, ""},
		{30 * 24 * time.Hour, "it expires on 2026-12-31, in 30 days"},
		{time.Hour, "it expires on 2026-12-31, within a day"},
		{36 * time.Hour, "it expires on 2026-12-31, in 1 day"},
		{0, "it expired on 2026-12-31"},
		{-time.Hour, "it expired on 2026-12-31"},
	} {
		if got := pki.Warning("it", end, end.Add(-c.left)); got != c.want {
			t.Errorf("%s before the end: %q, want %q", c.left, got, c.want)
		}
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	g, other := pkitest.NewGroup(t, "A", "B", "C"), pkitest.NewGroup(t, "A")
	a, b, c := g.Member("A").Cert, g.Member("B").Cert, g.Member("C").Cert
	code := pki.PairCode(g.Group.ID, a, b)
	if fields := strings.Fields(code); len(fields) != 8 || len(code) != 47 || strings.Trim(code, "0123456789 ") != "" {
		t.Errorf("pair code %q is not eight groups of five digits", code)
	}
	if code != pki.PairCode(g.Group.ID, b, a) {
		t.Error("A and B see different codes")
	}
	rekeyed := *b
	rekeyed.RSA = c.RSA
	for what, another := range map[string]string{
		"another pair":    pki.PairCode(g.Group.ID, a, c),
		"another group":   pki.PairCode(other.Group.ID, a, b),
		"another RSA key": pki.PairCode(g.Group.ID, a, &rekeyed),
		"the group code":  pki.GroupCode(g.Group),
	} {
		if another == code {
			t.Errorf("%s has the same code", what)
		}
	}
	if pki.GroupCode(g.Group) == pki.GroupCode(other.Group) {
		t.Error("two groups have one code")
	}
	frozen, _ := vectorGroup(t) // frozen on 2026-11-22
	if got, want := pki.GroupCode(frozen), "34874 19741 95204 04074 51764 37351 56365 39973"; got != want {
		t.Errorf("group code %q, want %q", got, want)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	key := pkitest.RSAKey(t, 0)
	der, err := pki.NewRequest("B", identity("B"), &key.PublicKey, pki.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := pki.ParseRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if r.Role != "B" || r.Kind != pki.KindMember || !r.Identity.Equal(identity("B").Public()) || !r.RSA.Equal(&key.PublicKey) {
		t.Errorf("another request came back: %+v", r)
	}
	relay, err := pki.NewRequest("relay", identity("relay"), nil, pki.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := pki.ParseRequest(relay); err != nil || r.Kind != pki.KindRelay || r.RSA != nil {
		t.Errorf("a relay node's request: %+v %v", r, err)
	}
	for i := range len(der) * 8 {
		flipped := bytes.Clone(der)
		flipped[i/8] ^= 1 << (i % 8)
		if _, err := pki.ParseRequest(flipped); !errors.Is(err, pki.ErrRequest) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
}

// TestRequestNamesItsGroup: what a request says of its group comes back, and anything but a name and a code is refused.
func TestRequestNamesItsGroup(t *testing.T) {
	t.Parallel()
	const code = "0101704094484714526457556553099761779625"
	for asked, ok := range map[pki.Asked]bool{
		{}: true, {Name: "ops"}: true, {Name: "ops", Code: code}: true, {Code: code}: false, {Name: "no name"}: false, {Name: "ops", Code: code[1:]}: false,
	} {
		der, err := pki.NewRequest("B", identity("B"), nil, asked)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := pki.ParseRequest(der); ok != (err == nil) || ok && r.Asked != asked {
			t.Errorf("%+v: %+v, %v", asked, r, err)
		}
	}
	g, _ := vectorGroup(t)
	digits, err := pki.ParseCode(pki.GroupCode(g))
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[pki.Asked]bool{
		{Name: g.Name}: true, {Name: g.Name, Code: digits}: true, {Name: g.Name, Code: code}: false, {Name: "other", Code: digits}: false, {}: false,
	} {
		if asked.Means(g) != want {
			t.Errorf("%+v", asked)
		}
	}
}

func TestRequestRefused(t *testing.T) {
	t.Parallel()
	small, err := pki.NewRequest("B", identity("B"), &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 65537}, pki.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	badRole, err := pki.NewRequest("no role", identity("B"), nil, pki.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	rsaSigned, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "B"}}, pkitest.RSAKey(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	extended, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "B"}, DNSNames: []string{"b"}}, identity("B"))
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{
		"small RSA key": small, "no role": badRole, "signed with RSA": rsaSigned, "another extension": extended, "empty": nil, "too large": make([]byte, 9000),
	} {
		if _, err := pki.ParseRequest(der); !errors.Is(err, pki.ErrRequest) {
			t.Errorf("%s: got %v, want %v", name, err, pki.ErrRequest)
		}
	}
}

func FuzzVerifyCertificate(f *testing.F) {
	g := pkitest.NewGroup(f, "A")
	member, relay := g.Member("A").Cert.DER, g.Relay(0).Cert.DER
	f.Add(member)
	f.Add(relay)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := pki.VerifyCertificate(g.Group, der, pkitest.Start)
		if err == nil && !bytes.Equal(der, member) && !bytes.Equal(der, relay) {
			t.Errorf("accepted a certificate that the CA did not sign: %+v", c)
		}
	})
}
