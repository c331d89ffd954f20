package pki_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"flag"
	"fmt"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"
)

var update = flag.Bool("update", false, "write testdata anew")

// vectorNow is the time at which vectors are judged unless they say otherwise.
var vectorNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

// maker makes certificates, good and bad, always the same ones.
type maker struct {
	t     *testing.T
	rand  *mathrand.ChaCha8
	ca    *authority.Authority
	caKey ed25519.PrivateKey
	g     *pki.Group
	dir   string
}

func seeded(name string) *mathrand.ChaCha8 { return mathrand.NewChaCha8(sha256.Sum256([]byte(name))) }

func newMaker(t *testing.T, name string) *maker {
	t.Helper()
	opts := authority.Options{Now: func() time.Time { return vectorNow.AddDate(0, -1, 0) }, Rand: seeded("authority of " + name)}
	ca, err := authority.Create(name, opts)
	if err != nil {
		t.Fatal(err)
	}
	seed := make([]byte, ed25519.SeedSize) // the first bytes of the same stream are the CA key's seed
	if _, err := seeded("authority of " + name).Read(seed); err != nil {
		t.Fatal(err)
	}
	return &maker{t: t, rand: seeded("maker of " + name), ca: ca, caKey: ed25519.NewKeyFromSeed(seed), g: ca.Group(), dir: "testdata"}
}

func identity(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("identity " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func peerOf(t *testing.T, name string) peer.ID {
	t.Helper()
	id, err := wire.PeerIDOf(public(identity(name)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// member returns the template of a good member certificate.
func (m *maker) member(name string) *x509.Certificate {
	uri, err := url.Parse(pki.PeerURI(m.g.ID, peerOf(m.t, name)))
	if err != nil {
		m.t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(m.rand.Uint64()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    vectorNow.AddDate(0, -1, 0), NotAfter: vectorNow.AddDate(0, 11, 0),
		KeyUsage: x509.KeyUsageKeyEncipherment, UnknownExtKeyUsage: []asn1.ObjectIdentifier{pki.OIDMember},
		URIs:                  []*url.URL{uri},
		BasicConstraintsValid: true,
	}
}

// relay returns the template of a good relay certificate.
func (m *maker) relay(name string) *x509.Certificate {
	c := m.member(name)
	c.KeyUsage, c.UnknownExtKeyUsage = x509.KeyUsageDigitalSignature, []asn1.ObjectIdentifier{pki.OIDRelay}
	return c
}

// sign signs a template with the group's CA key.
func (m *maker) sign(template *x509.Certificate, key crypto.PublicKey) []byte {
	return m.signAs(template, m.g.CA, key, m.caKey)
}

func (m *maker) signAs(template, parent *x509.Certificate, key crypto.PublicKey, signer ed25519.PrivateKey) []byte {
	m.t.Helper()
	der, err := x509.CreateCertificate(m.rand, template, parent, key, signer)
	if err != nil {
		m.t.Fatal(err)
	}
	return der
}

// rsaKey returns one member's RSA key.
func (m *maker) rsaKey(name string) *rsa.PublicKey {
	return &pkitest.RSAKey(m.t, int(name[0]-'A')).PublicKey
}

// oddNumber returns a number of exactly that many bits: nobody tests whether a modulus is a product of primes.
func (m *maker) oddNumber(bits int) *big.Int {
	n := new(big.Int)
	for i := range bits {
		n.SetBit(n, i, uint(m.rand.Uint64()&1))
	}
	return n.SetBit(n.SetBit(n, 0, 1), bits-1, 1)
}

// write writes one vector.
func (m *maker) write(name, expect, comment string, id peer.ID, now time.Time, presented []byte) {
	m.t.Helper()
	kind := "CERTIFICATE"
	if expect == "malformed" {
		kind = "DATA"
	}
	text := fmt.Sprintf("comment: %s\nexpect: %s\nnow: %s\npeer: %s\n\n%s", comment, expect, now.Format(time.RFC3339), id,
		pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: presented}))
	if err := os.WriteFile(filepath.Join(m.dir, "vectors", name+".txt"), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// b writes a vector about a change to member B's certificate.
func (m *maker) b(name, expect, comment string, change func(c *x509.Certificate)) {
	m.t.Helper()
	template := m.member("B")
	if change != nil {
		change(template)
	}
	m.write(name, expect, comment, peerOf(m.t, "B"), vectorNow, m.sign(template, m.rsaKey("B")))
}

// sans is a subjectAltName extension with names as given; each is a tag (6 URI, 2 DNS) and a text.
func sans(t *testing.T, names ...asn1.RawValue) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: oidSAN, Value: value}
}

func name(tag int, text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
}

// san writes a vector about B's name.
func (m *maker) san(file, expect, comment string, names ...asn1.RawValue) {
	m.t.Helper()
	m.b(file, expect, comment, func(c *x509.Certificate) {
		c.URIs = nil
		if len(names) > 0 {
			c.ExtraExtensions = []pkix.Extension{sans(m.t, names...)}
		}
	})
}

// key writes a vector about B's key.
func (m *maker) key(file, expect, comment string, key crypto.PublicKey) {
	m.t.Helper()
	m.write(file, expect, comment, peerOf(m.t, "B"), vectorNow, m.sign(m.member("B"), key))
}

func TestUpdateVectors(t *testing.T) {
	if !*update {
		return // frozen files are read, not made
	}
	m := newMaker(t, "vectors")
	if err := os.MkdirAll("testdata/vectors", 0o755); err != nil {
		t.Fatal(err)
	}
	old, _ := filepath.Glob("testdata/vectors/*.txt")
	for _, path := range old {
		os.Remove(path)
	}
	big4096 := &rsa.PublicKey{N: m.oddNumber(4096), E: 65537}
	m.writeGroup(big4096)
	m.writeGood(big4096)
	m.writeIssuers()
	m.writeDates()
	m.writeUsages()
	m.writeNames()
	m.writeKeys()
	m.writeShapes()
	m.writeHolders()
}

// writeGroup writes the CA certificate and the roster that all vectors share: members A, B and D (whose RSA key has 4096
// bits) and one relay node.
func (m *maker) writeGroup(big4096 *rsa.PublicKey) {
	draft := &authority.Draft{}
	keys := map[string]*rsa.PublicKey{"A": m.rsaKey("A"), "B": m.rsaKey("B"), "D": big4096}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		c, err := m.ca.IssueMember(wire.Role(name), public(identity(name)), keys[name])
		if err != nil {
			m.t.Fatal(err)
		}
		draft.SetMember(c)
	}
	c, err := m.ca.IssueRelay("relay", public(identity("relay")))
	if err != nil {
		m.t.Fatal(err)
	}
	draft.SetRelay(c, nil)
	r, err := m.ca.Sign(draft, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"ca.pem": {Type: "CERTIFICATE", Bytes: m.g.CA.Raw}, "roster.pem": {Type: "CONCLAVE ROSTER", Bytes: r.Envelope}} {
		if err := os.WriteFile(filepath.Join(m.dir, file), pem.EncodeToMemory(block), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *maker) writeGood(big4096 *rsa.PublicKey) {
	m.b("ok-member", "ok", "a member in the profile", nil)
	m.write("ok-relay", "ok", "a relay node in the profile", peerOf(m.t, "relay"), vectorNow, m.sign(m.relay("relay"), public(identity("relay"))))
	m.write("ok-rsa-4096", "ok", "the largest RSA key", peerOf(m.t, "D"), vectorNow, m.sign(m.member("D"), big4096))
	good := m.member("B")
	m.write("ok-first-second", "ok", "presented in its first second", peerOf(m.t, "B"), good.NotBefore, m.sign(good, m.rsaKey("B")))
	m.write("ok-last-second", "ok", "presented in its last second", peerOf(m.t, "B"), good.NotAfter, m.sign(good, m.rsaKey("B")))
}

func (m *maker) writeIssuers() {
	impostor := identity("impostor CA")
	parent := *m.g.CA
	parent.PublicKey = impostor.Public()
	b, key := peerOf(m.t, "B"), m.rsaKey("B")
	m.write("wrong-ca", "wrong-ca", "another CA key under the same name and key identifier", b, vectorNow, m.signAs(m.member("B"), &parent, key, impostor))
	parent.SubjectKeyId = []byte("another key identifier")
	m.write("wrong-ca-key-id", "wrong-ca", "another CA key under the same name", b, vectorNow, m.signAs(m.member("B"), &parent, key, impostor))
	self := m.member("B")
	m.write("wrong-ca-self-signed", "wrong-ca", "signed by the member itself", b, vectorNow, m.signAs(self, self, public(identity("B")), identity("B")))
	other := newMaker(m.t, "others")
	m.write("other-group", "other-group", "a good certificate of another group", b, vectorNow, other.sign(other.member("B"), key))
	good := m.sign(m.member("B"), key)
	good[len(good)-1] ^= 1
	m.write("wrong-ca-bit-flipped", "wrong-ca", "one bit of the signature flipped", b, vectorNow, good)
	m.writeIntermediate(b, key)
}

// writeIntermediate writes certificates under a CA that the group's CA signed.
func (m *maker) writeIntermediate(b peer.ID, key *rsa.PublicKey) {
	under := identity("intermediate CA")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "intermediate"}, NotBefore: vectorNow.AddDate(0, -1, 0), NotAfter: vectorNow.AddDate(0, 11, 0),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der := m.sign(template, under.Public())
	intermediate, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	leaf := m.signAs(m.member("B"), intermediate, key, under)
	m.write("chain-of-three", "chain-too-long", "a leaf under an intermediate CA, which comes with it", b, vectorNow, append(bytes.Clone(leaf), der...))
	m.write("chain-of-three-leaf", "wrong-ca", "the leaf of chain-of-three alone", b, vectorNow, leaf)
	m.write("chain-with-ca", "chain-too-long", "a good leaf with the CA's certificate after it", b, vectorNow, append(m.sign(m.member("B"), key), m.g.CA.Raw...))
}

func (m *maker) writeDates() {
	good := m.member("B")
	der, b := m.sign(good, m.rsaKey("B")), peerOf(m.t, "B")
	m.write("not-yet-valid", "not-yet-valid", "one second before its first second", b, good.NotBefore.Add(-time.Second), der)
	m.write("expired", "expired", "one second after its last second", b, good.NotAfter.Add(time.Second), der)
	m.write("expired-long-ago", "expired", "years after its last second", b, good.NotAfter.AddDate(30, 0, 0), der)
	m.b("outlives-ca", "profile", "ends after the CA's certificate", func(c *x509.Certificate) { c.NotAfter = m.g.CA.NotAfter.Add(time.Second) })
	m.b("older-than-ca", "profile", "begins before the CA's certificate", func(c *x509.Certificate) { c.NotBefore = m.g.CA.NotBefore.Add(-time.Second) })
}

func (m *maker) writeUsages() {
	m.b("eku-missing", "ext-key-usage", "no extended key usage", func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil })
	m.b("eku-wrong", "ext-key-usage", "a private extended key usage that is not ours", func(c *x509.Certificate) {
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 25, 1129270851, 9}}
	})
	m.b("eku-server-auth", "ext-key-usage", "serverAuth instead of ours", func(c *x509.Certificate) {
		c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	m.b("eku-any", "ext-key-usage", "anyExtendedKeyUsage beside ours", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })
	m.b("eku-both", "ext-key-usage", "member and relay node at once", func(c *x509.Certificate) {
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{pki.OIDMember, pki.OIDRelay}
	})
	m.b("key-usage-none", "key-usage", "no key usage, so no keyEncipherment", func(c *x509.Certificate) { c.KeyUsage = 0 })
	m.b("key-usage-signature", "key-usage", "digitalSignature instead of keyEncipherment", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	m.b("key-usage-both", "key-usage", "digitalSignature beside keyEncipherment", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature })
	m.b("ca-true", "is-ca", "a leaf with CA:TRUE", func(c *x509.Certificate) { c.IsCA = true })
	m.b("ca-true-sign", "is-ca", "a leaf with CA:TRUE and keyCertSign", func(c *x509.Certificate) {
		c.IsCA = true
		c.KeyUsage |= x509.KeyUsageCertSign
	})
	m.b("no-basic-constraints", "profile", "no basic constraints", func(c *x509.Certificate) { c.BasicConstraintsValid = false })
	extension := func(critical bool) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 25, 99}, Critical: critical, Value: []byte{5, 0}}}
		}
	}
	m.b("unknown-critical", "unknown-critical", "a critical extension that nobody knows", extension(true))
	m.b("unknown-extension", "unknown-extension", "an extension that nobody knows, not critical", extension(false))
}

func (m *maker) writeNames() {
	good := pki.PeerURI(m.g.ID, peerOf(m.t, "B"))
	host, id := pki.Host(m.g.ID), peerOf(m.t, "B")
	uri := func(text string) asn1.RawValue { return name(6, text) }
	m.san("san-none", "san-count", "no name at all")
	m.san("san-two-uris", "san-count", "two URIs, the first of them right", uri(good), uri(pki.PeerURI(m.g.ID, peerOf(m.t, "A"))))
	m.san("san-same-twice", "san-count", "the right URI twice", uri(good), uri(good))
	m.san("san-dns", "san-count", "a DNS name instead", name(2, host))
	m.san("san-dns-beside", "san-count", "a DNS name beside the right URI", uri(good), name(2, "example.org"))
	forms := map[string]string{
		"san-opaque":             "libp2p:" + host + "/peer/" + id.String(),
		"san-upper-case-scheme":  strings.Replace(good, "libp2p", "LIBP2P", 1),
		"san-other-scheme":       strings.Replace(good, "libp2p", "https", 1),
		"san-upper-case-host":    strings.Replace(good, host, strings.ToUpper(host), 1),
		"san-trailing-slash":     good + "/",
		"san-double-slash":       strings.Replace(good, "/peer/", "//peer/", 1),
		"san-query":              good + "?x",
		"san-fragment":           good + "#x",
		"san-percent":            strings.Replace(good, "/peer/", "/p%65er/", 1),
		"san-user":               strings.Replace(good, host, "u@"+host, 1),
		"san-cid":                "libp2p://" + host + "/peer/" + peer.ToCid(id).String(),
		"san-no-peer":            "libp2p://" + host + "/peer/",
		"san-hashed-peer":        "libp2p://" + host + "/peer/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
		"san-subdomain":          strings.Replace(good, host, "a."+host, 1),
		"san-whole-id-in-a-host": strings.Replace(good, host, m.g.ID.String()[:60], 1),
	}
	for _, file := range slices.Sorted(maps.Keys(forms)) {
		m.san(file, "san-form", "not the canonical name: "+forms[file], uri(forms[file]))
	}
	other := wire.GroupID(sha256.Sum256([]byte("another group")))
	m.san("san-other-group", "san-group", "another group's host, signed by our CA", uri(pki.PeerURI(other, id)))
	m.b("role-empty", "role", "no common name", func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"B"}} })
	m.b("role-space", "role", "a common name that is not a role", func(c *x509.Certificate) { c.Subject.CommonName = "B b" })
	m.b("role-too-long", "role", "a common name of 33 letters", func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("b", 33) })
	m.b("role-more", "role", "an organization beside the common name", func(c *x509.Certificate) { c.Subject.Organization = []string{"x"} })
}

func (m *maker) writeKeys() {
	for _, bits := range []int{1024, 2048, 3071, 4097, 8192} {
		m.key(fmt.Sprintf("rsa-%d", bits), "rsa-size", fmt.Sprintf("an RSA key of %d bits", bits), &rsa.PublicKey{N: m.oddNumber(bits), E: 65537})
	}
	for _, e := range []int{3, 17, 65539} {
		m.key(fmt.Sprintf("rsa-exponent-%d", e), "rsa-exponent", fmt.Sprintf("an RSA key with exponent %d", e), &rsa.PublicKey{N: m.rsaKey("B").N, E: e})
	}
	m.key("key-ed25519", "key-type", "a member with an Ed25519 key", public(identity("B")))
	generator := elliptic.P256().Params()
	point := slices.Concat([]byte{4}, generator.Gx.FillBytes(make([]byte, 32)), generator.Gy.FillBytes(make([]byte, 32)))
	p256, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		m.t.Fatal(err)
	}
	m.key("key-p256", "key-type", "a member with a P-256 key", p256)
	m.write("key-relay-rsa", "key-type", "a relay node with an RSA key", peerOf(m.t, "relay"), vectorNow, m.sign(m.relay("relay"), m.rsaKey("A")))
	m.write("key-relay-other", "other-peer", "a relay node whose key is not the one in its name", peerOf(m.t, "relay"), vectorNow,
		m.sign(m.relay("relay"), public(identity("A"))))
}

func (m *maker) writeShapes() {
	b, good := peerOf(m.t, "B"), m.sign(m.member("B"), m.rsaKey("B"))
	m.b("too-large", "too-large", "more than 8 KiB", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 25, 99}, Value: make([]byte, 8<<10)}}
	})
	m.write("malformed-text", "malformed", "not a certificate", b, vectorNow, []byte("hello"))
	m.write("malformed-truncated", "malformed", "its last byte is missing", b, vectorNow, good[:len(good)-1])
	m.write("malformed-trailing", "malformed", "one byte after its end", b, vectorNow, append(bytes.Clone(good), 0))
	m.write("malformed-sequence", "malformed", "an empty sequence", b, vectorNow, []byte{0x30, 0})
}

func (m *maker) writeHolders() {
	m.write("other-peer", "other-peer", "B's certificate, presented by A", peerOf(m.t, "A"), vectorNow, m.sign(m.member("B"), m.rsaKey("B")))
	m.write("not-in-roster", "not-in-roster", "a good certificate of C, who is not in the roster", peerOf(m.t, "C"), vectorNow, m.sign(m.member("C"), m.rsaKey("C")))
	m.b("not-in-roster-role", "not-in-roster", "B's keys under another role", func(c *x509.Certificate) { c.Subject.CommonName = "A" })
	m.key("not-in-roster-key", "not-in-roster", "B's identity with another RSA key", m.rsaKey("A"))
	m.write("not-in-roster-kind", "not-in-roster", "B's identity as a relay node", peerOf(m.t, "B"), vectorNow, m.sign(m.relay("B"), public(identity("B"))))
}

// standardVerify is what a verifier does that trusts the standard library alone.
func standardVerify(g *pki.Group, der []byte, now time.Time) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(g.CA)
	_, err = cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}
