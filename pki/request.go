package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

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
	Asked    Asked          // zero where it names no group
}

// Asked is the group that a request is for, as whoever made it knows it: by its name, and by its group code where he has it. It
// is a claim, which keeps people from mistakes.
type Asked struct {
	Name string // a group's name
	Code string // the 40 digits of GroupCode; "": not known
}

// Means reports whether the group may be the one that was asked for.
func (a Asked) Means(g *Group) bool {
	return a.Name == g.Name && (a.Code == "" || a.Code == codeDigits(GroupCode(g)))
}

// ParseCode returns a group code's digits, or an error for what is no code. Spaces and dashes between digits are nothing.
func ParseCode(text string) (string, error) {
	digits := codeDigits(text)
	if len(digits) != codeLength || strings.Trim(text, "0123456789 -") != "" {
		return "", fmt.Errorf("%q is not a group code, which has %d digits", text, codeLength)
	}
	return digits, nil
}

// codeLength is how many digits a code has.
const codeLength = 40

// codeDigits returns the digits of a text.
func codeDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// askedForm is Asked in a request's extension.
type askedForm struct {
	Name string `asn1:"utf8"`
	Code string `asn1:"utf8"`
}

// NewRequest returns a PKCS #10 request (DER) for a member with that RSA key, or for a relay node if the key is nil. It is
// signed by the identity key, and carries the RSA key in an extension, because that key never signs. Another extension says which
// group is meant, if asked does.
func NewRequest(role wire.Role, identity ed25519.PrivateKey, key *rsa.PublicKey, asked Asked) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: string(role)}}
	if key != nil {
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("making a request: %w", err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: OIDRequestRSA, Value: spki}}
	}
	if asked != (Asked{}) {
		value, err := asn1.Marshal(askedForm(asked))
		if err != nil {
			return nil, fmt.Errorf("making a request: %w", err)
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: OIDRequestGroup, Value: value})
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
		switch {
		case ext.Id.Equal(OIDRequestRSA) && r.RSA == nil:
			r.RSA, err = parseRSA(ext)
			r.Kind = KindMember
		case ext.Id.Equal(OIDRequestGroup) && r.Asked == Asked{}:
			r.Asked, err = parseAsked(ext)
		default:
			err = fmt.Errorf("%w: extension %s", ErrRequest, ext.Id)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// parseAsked reads the group of a request's extension.
func parseAsked(ext pkix.Extension) (Asked, error) {
	var form askedForm
	rest, err := asn1.Unmarshal(ext.Value, &form)
	if err != nil || len(rest) > 0 {
		return Asked{}, fmt.Errorf("%w: what it says of its group", ErrRequest)
	}
	_, badName := wire.ParseRole(form.Name)
	code, badCode := ParseCode(form.Code)
	if badName != nil || form.Code != "" && (badCode != nil || code != form.Code) {
		return Asked{}, fmt.Errorf("%w: what it says of its group", ErrRequest)
	}
	return Asked(form), nil
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
