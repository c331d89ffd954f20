package keystore

import (
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"

	"conclave/overlay/wire"
	"conclave/pki"
)

// requestsDir holds keys whose request is not yet answered. Its name is not a group's: those do not begin with a dot.
const requestsDir = ".requests"

// ErrNoRequest is returned when a certificate arrives for keys that are not here.
var ErrNoRequest = errors.New("no keys here for that certificate")

// Pending are the keys of a request that the authority has not yet answered.
type Pending struct {
	Role     wire.Role
	Identity ed25519.PrivateKey
	RSA      *rsa.PrivateKey // nil for a relay node

	dir string
}

func pendingDir(home string, kind pki.Kind, role wire.Role) string {
	if kind == pki.KindRelay {
		return filepath.Join(home, requestsDir, "relay", string(role))
	}
	return filepath.Join(home, requestsDir, "members", string(role))
}

// OpenPending reads the keys of a pending request, or returns ErrNoRequest.
func OpenPending(home string, kind pki.Kind, role wire.Role) (*Pending, error) {
	p := &Pending{Role: role, dir: pendingDir(home, kind, role)}
	var err error
	if p.Identity, err = ReadIdentity(filepath.Join(p.dir, identityFile)); errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoRequest
	} else if err != nil {
		return nil, err
	}
	if kind == pki.KindRelay {
		return p, nil
	}
	p.RSA, err = ReadRSA(filepath.Join(p.dir, rsaFile))
	return p, err
}

// WritePending keeps the keys of a request until it is answered. A nil RSA key means a relay node.
func WritePending(home string, role wire.Role, identity ed25519.PrivateKey, key *rsa.PrivateKey) (*Pending, error) {
	kind := pki.KindRelay
	if key != nil {
		kind = pki.KindMember
	}
	p := &Pending{Role: role, Identity: identity, RSA: key, dir: pendingDir(home, kind, role)}
	if key != nil {
		if err := WriteKey(filepath.Join(p.dir, rsaFile), key); err != nil {
			return nil, err
		}
	}
	return p, WriteKey(filepath.Join(p.dir, identityFile), identity) // last: a request that is there is whole
}

// Request returns the request (DER) to send to the authority of the group that is asked for.
func (p *Pending) Request(asked pki.Asked) ([]byte, error) {
	if p.RSA == nil {
		return pki.NewRequest(p.Role, p.Identity, nil, asked)
	}
	return pki.NewRequest(p.Role, p.Identity, &p.RSA.PublicKey, asked)
}

// Remove deletes the pending keys, once they are in their group's folder.
func (p *Pending) Remove() error { return os.RemoveAll(p.dir) }

// Accept writes a certificate into the group's folder, with the keys that were made for it: those of a pending request in
// the home, or those already in the folder when it is a renewal. It returns ErrNoRequest if neither is here.
func (d Dir) Accept(home string, c *pki.Certificate) error {
	if d.Holds(c) {
		return d.writeCertificate(c)
	}
	p, err := OpenPending(home, c.Kind, c.Role)
	if err != nil {
		return err
	}
	if !c.Identity.Equal(p.Identity.Public()) || c.RSA != nil && !c.RSA.Equal(&p.RSA.PublicKey) {
		return ErrNoRequest
	}
	if c.Kind == pki.KindRelay {
		err = d.WriteRelay(c.DER, p.Identity)
	} else {
		err = d.WriteMember(c.Role, c.DER, p.Identity, p.RSA)
	}
	if err != nil {
		return err
	}
	return p.Remove()
}

// Holds reports whether the folder has the keys of that certificate.
func (d Dir) Holds(c *pki.Certificate) bool {
	if c.Kind == pki.KindRelay {
		r, err := d.OpenRelay()
		return err == nil && r.Cert.SameHolder(c)
	}
	m, err := d.OpenMember(c.Role)
	return err == nil && m.Cert.SameHolder(c)
}

func (d Dir) writeCertificate(c *pki.Certificate) error {
	dir := d.relayDir()
	if c.Kind == pki.KindMember {
		dir = d.memberDir(c.Role)
	}
	return WriteCertificate(filepath.Join(dir, certFile), c.DER)
}

// Update replaces the certificates of identities in the folder by those of the roster, where the roster's last longer.
func (d Dir) Update(r *pki.Roster) error {
	for _, m := range r.Members {
		if d.Holds(m.Certificate) {
			if err := d.writeCertificate(m.Certificate); err != nil {
				return err
			}
		}
	}
	for _, m := range r.Relays {
		if d.Holds(m.Certificate) {
			if err := d.writeCertificate(m.Certificate); err != nil {
				return err
			}
		}
	}
	return nil
}
