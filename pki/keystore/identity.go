package keystore

import (
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
)

// Files of an identity.
const (
	certFile     = "cert.pem"
	identityFile = "identity.pem"
	rsaFile      = "rsa.pem"
)

// Member is a member's identity, read from disk. The certificate's dates are not judged: see Certificate.ValidAt.
type Member struct {
	Group    *pki.Group
	Cert     *pki.Certificate
	Identity ed25519.PrivateKey
	RSA      *rsa.PrivateKey
	Dir      string // for the member's own state

	Roster    *pki.Roster // what the group's roster file holds
	RosterErr error       // why Roster is nil: ErrNoRoster, or what is wrong with the file
}

// Relay is a relay node's identity, read from disk.
type Relay struct {
	Group    *pki.Group
	Cert     *pki.Certificate
	Identity ed25519.PrivateKey
	Dir      string // for the relay node's own state

	Roster    *pki.Roster // what the group's roster file holds
	RosterErr error       // why Roster is nil: ErrNoRoster, or what is wrong with the file
}

// OpenMember reads the identity of the member with that role, or returns ErrNoIdentity. If the roster on disk holds a
// newer certificate for the same keys, that one is taken: so a renewal needs no more than the new roster.
func (d Dir) OpenMember(role wire.Role) (*Member, error) {
	dir := d.memberDir(role)
	m := &Member{Dir: dir}
	var err error
	m.Group, m.Cert, m.Identity, err = d.open(dir, pki.KindMember)
	if err != nil {
		return nil, fmt.Errorf("opening member %s: %w", role, err)
	}
	if m.RSA, err = ReadRSA(filepath.Join(dir, rsaFile)); err != nil {
		return nil, fmt.Errorf("opening member %s: %w", role, err)
	}
	if m.Cert.Role != role || !m.RSA.PublicKey.Equal(m.Cert.RSA) {
		return nil, fmt.Errorf("opening member %s: %w", role, ErrKeyMismatch)
	}
	m.Cert, m.Roster, m.RosterErr = d.renewed(m.Group, m.Cert)
	return m, nil
}

// OpenRelay reads the identity of the relay node, or returns ErrNoIdentity.
func (d Dir) OpenRelay() (*Relay, error) {
	r := &Relay{Dir: d.relayDir()}
	var err error
	r.Group, r.Cert, r.Identity, err = d.open(r.Dir, pki.KindRelay)
	if err != nil {
		return nil, fmt.Errorf("opening the relay node: %w", err)
	}
	r.Cert, r.Roster, r.RosterErr = d.renewed(r.Group, r.Cert)
	return r, nil
}

// open reads what members and relay nodes have in common.
func (d Dir) open(dir string, kind pki.Kind) (*pki.Group, *pki.Certificate, ed25519.PrivateKey, error) {
	g, err := d.Group()
	if err != nil {
		return nil, nil, nil, err
	}
	der, err := readPEM(filepath.Join(dir, certFile), PEMCertificate)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil, ErrNoIdentity
	}
	if err != nil {
		return nil, nil, nil, err
	}
	cert, err := pki.VerifyCertificateUndated(g, der)
	if err != nil {
		return nil, nil, nil, err
	}
	identity, err := ReadIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, nil, nil, err
	}
	if cert.Kind != kind || !cert.Identity.Equal(identity.Public()) {
		return nil, nil, nil, ErrKeyMismatch
	}
	return g, cert, identity, nil
}

// renewed reads the roster and returns its certificate for the same holder instead of cert if it lasts longer. Without a
// roster, or with a broken one, cert stays: whoever needs the roster looks at the error.
func (d Dir) renewed(g *pki.Group, cert *pki.Certificate) (*pki.Certificate, *pki.Roster, error) {
	roster, err := d.RosterFile(g, nil).Load()
	if err != nil {
		return cert, nil, err
	}
	if newer := roster.Certificate(cert.Peer); newer != nil && newer.SameHolder(cert) && newer.NotAfter.After(cert.NotAfter) {
		cert = newer
	}
	return cert, roster, nil
}

// WriteMember writes a member's identity: certificate (DER) and both keys. The certificate comes last, so that an
// identity that is there is whole.
func (d Dir) WriteMember(role wire.Role, cert []byte, identity ed25519.PrivateKey, key *rsa.PrivateKey) error {
	dir := d.memberDir(role)
	if err := WriteKey(filepath.Join(dir, identityFile), identity); err != nil {
		return err
	}
	if err := WriteKey(filepath.Join(dir, rsaFile), key); err != nil {
		return err
	}
	return WriteCertificate(filepath.Join(dir, certFile), cert)
}

// WriteRelay writes a relay node's identity: certificate (DER) and key.
func (d Dir) WriteRelay(cert []byte, identity ed25519.PrivateKey) error {
	if err := WriteKey(filepath.Join(d.relayDir(), identityFile), identity); err != nil {
		return err
	}
	return WriteCertificate(filepath.Join(d.relayDir(), certFile), cert)
}

// Warnings returns a sentence for everything of an identity that expires within 30 days.
func Warnings(g *pki.Group, cert *pki.Certificate, roster *pki.Roster, now time.Time) []string {
	var all []string
	add := func(what string, expires time.Time) {
		if w := pki.Warning(what, expires, now); w != "" {
			all = append(all, w)
		}
	}
	add("the group's CA certificate", g.CA.NotAfter)
	if cert != nil {
		add("the certificate of "+string(cert.Role), cert.NotAfter)
	}
	if roster != nil {
		add("the roster", roster.Expires)
	}
	return all
}
