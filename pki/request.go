package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"

	"conclave/overlay/wire"
)

// ErrRequest is returned when a certificate request is not in the profile of SPEC.md section 2.5.
var ErrRequest = errors.New("not a valid certificate request")

// maxRequest is the largest request in bytes.
const maxRequest = wire.MaxCertificate

// Request asks the authority for a certificate. It is verified: who made it has the identity key.
type Request struct {
	Role     wire.Role
	Kind     Kind
	Identity ed25519.PublicKey
	RSA      *rsa.PublicKey // nil for a relay node
}

// NewRequest returns a PKCS #10 request (DER) for a member with that RSA key, or for a relay node if the key is nil. It is
// signed by the identity key, and carries the RSA key in an extension, because that key never signs.
func NewRequest(role wire.Role, identity ed25519.PrivateKey, key *rsa.PublicKey) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: string(role)}}
	if key != nil {
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("making a request: %w", err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: OIDRequestRSA, Value: spki}}
	}
	return x509.CreateCertificateRequest(rand.Reader, template, identity)
}

// ParseRequest verifies a request (DER), or returns ErrRequest.
func ParseRequest(der []byte) (*Request, error) {
	if len(der) > maxRequest {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRequest, len(der), maxRequest)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	identity, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok || csr.SignatureAlgorithm != x509.PureEd25519 {
		return nil, fmt.Errorf("%w: its key is not Ed25519", ErrRequest)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	role, err := wire.ParseRole(csr.Subject.CommonName)
	if err != nil || len(csr.Subject.Names) != 1 {
		return nil, fmt.Errorf("%w: its subject is not a role", ErrRequest)
	}
	r := &Request{Role: role, Kind: KindRelay, Identity: identity}
	for _, ext := range csr.Extensions {
		if !ext.Id.Equal(OIDRequestRSA) || r.RSA != nil {
			return nil, fmt.Errorf("%w: extension %s", ErrRequest, ext.Id)
		}
		if r.RSA, err = parseRSA(ext); err != nil {
			return nil, err
		}
		r.Kind = KindMember
	}
	return r, nil
}

// parseRSA reads the RSA key of a request's extension.
func parseRSA(ext pkix.Extension) (*rsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(ext.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %w", ErrRequest, ErrKeyType)
	}
	if err := CheckRSA(key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return key, nil
}
