package authority

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
)

// How long what the authority signs is valid.
const (
	DefaultLife = 365 * 24 * time.Hour      // certificates and rosters
	DefaultCA   = 20 * 365 * 24 * time.Hour // the CA certificate, which everybody would have to import anew
)

// backdate is how long before its making a certificate begins, for those whose clock is behind.
const backdate = time.Hour

// ErrNotTheKey is returned when a private key is not the group's CA key.
var ErrNotTheKey = errors.New("the key is not the group's CA key")

// Options are an authority's surroundings. The zero value is right outside tests.
type Options struct {
	Now    func() time.Time // default time.Now
	Rand   io.Reader        // for the CA key and serial numbers; default crypto/rand
	Life   time.Duration    // of certificates and rosters; default one year
	CALife time.Duration    // of the CA certificate; default 20 years
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Life == 0 {
		o.Life = DefaultLife
	}
	if o.CALife == 0 {
		o.CALife = DefaultCA
	}
	return o
}

// Authority is a group with its CA key. Static after construction; it may be used from several goroutines if its Rand may.
type Authority struct {
	group *pki.Group
	key   ed25519.PrivateKey
	opts  Options
}

// Create makes a new group with a new CA key. The name follows the rules of a role.
func Create(name string, opts Options) (*Authority, error) {
	opts = opts.withDefaults()
	if _, err := wire.ParseRole(name); err != nil {
		return nil, fmt.Errorf("creating group %q: a group's name follows the rules of a role: %w", name, err)
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(opts.Rand, seed); err != nil {
		return nil, fmt.Errorf("creating group %q: %w", name, err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	clear(seed)
	der, err := selfSign(name, key, opts)
	if err != nil {
		return nil, fmt.Errorf("creating group %q: %w", name, err)
	}
	group, err := pki.ParseGroup(der)
	if err != nil {
		return nil, fmt.Errorf("creating group %q: %w", name, err)
	}
	return New(group, key, opts)
}

// New returns the authority of a group whose CA key is given, or ErrNotTheKey.
func New(group *pki.Group, key ed25519.PrivateKey, opts Options) (*Authority, error) {
	if !key.Public().(ed25519.PublicKey).Equal(group.CA.PublicKey) {
		return nil, ErrNotTheKey
	}
	return &Authority{group: group, key: key, opts: opts.withDefaults()}, nil
}

// Open reads the CA key from a group's folder.
func Open(dir keystore.Dir, opts Options) (*Authority, error) {
	group, err := dir.Group()
	if err != nil {
		return nil, err
	}
	key, err := keystore.ReadIdentity(dir.AuthorityFile())
	if err != nil {
		return nil, fmt.Errorf("reading the CA key: %w", err)
	}
	return New(group, key, opts)
}

// Save writes the CA key into the group's folder.
func (a *Authority) Save(dir keystore.Dir) error {
	return keystore.WriteKey(dir.AuthorityFile(), a.key)
}

// Group returns the group.
func (a *Authority) Group() *pki.Group { return a.group }

// IssueMember returns a new certificate that binds a role, an identity and an RSA key.
func (a *Authority) IssueMember(role wire.Role, identity ed25519.PublicKey, key *rsa.PublicKey) (*pki.Certificate, error) {
	if err := pki.CheckRSA(key); err != nil {
		return nil, err
	}
	return a.issue(role, identity, key, x509.KeyUsageKeyEncipherment, pki.OIDMember)
}

// IssueRelay returns a new certificate that binds a relay node's name and identity.
func (a *Authority) IssueRelay(name wire.Role, identity ed25519.PublicKey) (*pki.Certificate, error) {
	return a.issue(name, identity, identity, x509.KeyUsageDigitalSignature, pki.OIDRelay)
}

// Answer issues what a verified request asks for.
func (a *Authority) Answer(r *pki.Request) (*pki.Certificate, error) {
	if r.Kind == pki.KindRelay {
		return a.IssueRelay(r.Role, r.Identity)
	}
	return a.IssueMember(r.Role, r.Identity, r.RSA)
}

func (a *Authority) issue(role wire.Role, identity ed25519.PublicKey, key crypto.PublicKey, usage x509.KeyUsage, eku asn1.ObjectIdentifier) (*pki.Certificate, error) {
	if _, err := wire.ParseRole(string(role)); err != nil {
		return nil, fmt.Errorf("issuing a certificate for %q: %w", role, err)
	}
	template, err := a.template(role, identity, usage, eku)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %q: %w", role, err)
	}
	der, err := x509.CreateCertificate(a.opts.Rand, template, a.group.CA, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %q: %w", role, err)
	}
	return pki.VerifyCertificate(a.group, der, a.opts.Now())
}

// template is the profile of members and relay nodes (SPEC.md section 2.3).
func (a *Authority) template(role wire.Role, identity ed25519.PublicKey, usage x509.KeyUsage, eku asn1.ObjectIdentifier) (*x509.Certificate, error) {
	id, err := wire.PeerIDOf(identity)
	if err != nil {
		return nil, err
	}
	uri, err := url.Parse(pki.PeerURI(a.group.ID, id))
	if err != nil {
		return nil, err
	}
	serial, err := newSerial(a.opts.Rand)
	if err != nil {
		return nil, err
	}
	notBefore, notAfter := a.dates()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: string(role)},
		NotBefore:    notBefore, NotAfter: notAfter,
		KeyUsage: usage, UnknownExtKeyUsage: []asn1.ObjectIdentifier{eku},
		URIs:                  []*url.URL{uri},
		BasicConstraintsValid: true,
	}, nil
}

// dates returns a new certificate's first and last second, within the CA's own.
func (a *Authority) dates() (notBefore, notAfter time.Time) {
	now := a.opts.Now()
	notBefore, notAfter = now.Add(-backdate), now.Add(a.opts.Life)
	if notBefore.Before(a.group.CA.NotBefore) {
		notBefore = a.group.CA.NotBefore
	}
	if notAfter.After(a.group.CA.NotAfter) {
		notAfter = a.group.CA.NotAfter
	}
	return notBefore, notAfter
}

// selfSign makes the CA certificate (SPEC.md section 2.2).
func selfSign(name string, key ed25519.PrivateKey, opts Options) ([]byte, error) {
	public := key.Public().(ed25519.PublicKey)
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial(opts.Rand)
	if err != nil {
		return nil, err
	}
	now := opts.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{pki.Organization}, CommonName: name},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(opts.CALife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: 0, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, // makes the whole extension critical
		PermittedURIDomains:         []string{pki.Host(pki.GroupIDOf(&x509.Certificate{RawSubjectPublicKeyInfo: spki}))},
	}
	return x509.CreateCertificate(opts.Rand, template, template, public, key)
}

// newSerial returns a random serial number of 127 bits.
func newSerial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	for {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		b[0] &= 0x7f
		if !bytes.Equal(b, make([]byte, 16)) { // zero is no serial number
			return new(big.Int).SetBytes(b), nil
		}
	}
}
