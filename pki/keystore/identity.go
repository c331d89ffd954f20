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

// Papers are what members and relay nodes both have on disk. The certificate's dates are not judged: see
// Certificate.ValidAt.
type Papers struct {
	Group    *pki.Group
	Cert     *pki.Certificate
	Identity ed25519.PrivateKey
	Dir      string // for the holder's own state

	Roster    *pki.Roster // what the group's roster file holds
	RosterErr error       // why Roster is nil: ErrNoRoster, or what is wrong with the file
}

// Member is a member's identity, read from disk.
type Member struct {
	Papers
	RSA *rsa.PrivateKey
}

// Relay is a relay node's identity, read from disk.
type Relay struct{ Papers }

// OpenMember reads the identity of the member with that role, or returns ErrNoIdentity. If the roster on disk holds a
// newer certificate for the same keys, that one is taken: so a renewal needs no more than the new roster.
func (d Dir) OpenMember(role wire.Role) (*Member, error) {
	dir := d.memberDir(role)
	papers, err := d.open(dir, pki.KindMember)
	if err != nil {
		return nil, fmt.Errorf("opening member %s: %w", role, err)
	}
	key, err := ReadRSA(filepath.Join(dir, rsaFile))
	if err != nil {
		return nil, fmt.Errorf("opening member %s: %w", role, err)
	}
	if papers.Cert.Role != role || !key.PublicKey.Equal(papers.Cert.RSA) {
		return nil, fmt.Errorf("opening member %s: %w", role, ErrKeyMismatch)
	}
	papers.readRoster(d)
	return &Member{Papers: papers, RSA: key}, nil
}

// OpenRelay reads the identity of the relay node, or returns ErrNoIdentity.
func (d Dir) OpenRelay() (*Relay, error) {
	papers, err := d.open(d.relayDir(), pki.KindRelay)
	if err != nil {
		return nil, fmt.Errorf("opening the relay node: %w", err)
	}
	papers.readRoster(d)
	return &Relay{papers}, nil
}

// open reads what members and relay nodes have in common, without the roster.
func (d Dir) open(dir string, kind pki.Kind) (Papers, error) {
	g, err := d.Group()
	if err != nil {
		return Papers{}, err
	}
	der, err := readPEM(filepath.Join(dir, certFile), PEMCertificate)
	if errors.Is(err, os.ErrNotExist) {
		return Papers{}, ErrNoIdentity
	}
	if err != nil {
		return Papers{}, err
	}
	cert, err := pki.VerifyCertificateUndated(g, der)
	if err != nil {
		return Papers{}, err
	}
	identity, err := ReadIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return Papers{}, err
	}
	if cert.Kind != kind || !cert.Identity.Equal(identity.Public()) {
		return Papers{}, ErrKeyMismatch
	}
	return Papers{Group: g, Cert: cert, Identity: identity, Dir: dir}, nil
}

// readRoster reads the roster and takes its certificate for the same holder if it lasts longer. Without a roster, or with
// a broken one, the certificate stays: whoever needs the roster looks at the error.
func (p *Papers) readRoster(d Dir) {
	p.Roster, p.RosterErr = d.RosterFile(p.Group, nil).Load()
	if p.RosterErr != nil {
		return
	}
	if newer := p.Roster.Certificate(p.Cert.Peer); newer != nil && newer.SameHolder(p.Cert) && newer.NotAfter.After(p.Cert.NotAfter) {
		p.Cert = newer
	}
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
