package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"conclave/overlay/wire"
)

// Kind is what a certificate's holder is in the group.
type Kind int

// The kinds of holders.
const (
	KindMember Kind = iota + 1
	KindRelay
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case KindMember:
		return "member"
	case KindRelay:
		return "relay node"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// The bounds of a member's RSA key.
const (
	MinRSABits  = 3072
	MaxRSABits  = 4096
	RSAExponent = 65537
)

// Certificate is a verified certificate of a member or relay node. Static after VerifyCertificate.
type Certificate struct {
	Role      wire.Role         // a member's role, a relay node's name
	Kind      Kind              // member or relay node
	Peer      peer.ID           // who may present it
	Identity  ed25519.PublicKey // the key that Peer embeds
	RSA       *rsa.PublicKey    // wraps shares for a member; nil for a relay node
	DER       []byte            // the certificate itself
	NotBefore time.Time
	NotAfter  time.Time
}

// VerifyCertificate checks that a certificate (DER) is exactly in the profile, signed by the group's CA and valid now.
// It returns one of this package's errors otherwise. The caller still has to check VerifyPeer and the roster:
// Roster.Verify does all three.
func VerifyCertificate(g *Group, der []byte, now time.Time) (*Certificate, error) {
	c, err := VerifyCertificateUndated(g, der)
	if err != nil {
		return nil, err
	}
	if err := c.ValidAt(now); err != nil {
		return nil, err
	}
	return c, nil
}

// ValidAt returns ErrNotYetValid or ErrExpired when the certificate is not valid at that time.
func (c *Certificate) ValidAt(now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("%w: it begins at %s, now is %s", ErrNotYetValid, stamp(c.NotBefore), stamp(now))
	case now.After(c.NotAfter):
		return fmt.Errorf("%w: it ended at %s, now is %s", ErrExpired, stamp(c.NotAfter), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// VerifyPeer returns ErrOtherPeer unless the certificate belongs to p, which must be the proven remote peer of a connection.
func (c *Certificate) VerifyPeer(p peer.ID) error {
	if c.Peer != p {
		return fmt.Errorf("%w: it names %s, presented by %s", ErrOtherPeer, c.Peer, p)
	}
	return nil
}

// SameHolder reports whether two certificates give the same keys the same place: one may be the other's renewal.
func (c *Certificate) SameHolder(o *Certificate) bool {
	return c.Role == o.Role && c.Kind == o.Kind && c.Peer == o.Peer && (c.RSA == nil) == (o.RSA == nil) && (c.RSA == nil || c.RSA.Equal(o.RSA))
}

// VerifyCertificateUndated is VerifyCertificate without the dates, for those who judge them later with ValidAt.
func VerifyCertificateUndated(g *Group, der []byte) (*Certificate, error) {
	cert, err := parseOne(der)
	if err != nil {
		return nil, err
	}
	outside := checkChain(g, cert) // the CA's signature among it
	if outside != nil {            // the signature, which is told before all else, or something that is told after it
		if err := checkIssuer(g, cert); err != nil {
			return nil, err
		}
	}
	if err := checkExtensions(cert); err != nil {
		return nil, err
	}
	c := &Certificate{DER: bytes.Clone(der), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}
	if c.Kind, err = checkUsage(cert); err != nil {
		return nil, err
	}
	if c.Peer, c.Identity, err = checkName(g, cert); err != nil {
		return nil, err
	}
	if c.RSA, err = checkKey(cert, c.Kind, c.Identity); err != nil {
		return nil, err
	}
	if c.Role, err = checkSubject(cert); err != nil {
		return nil, err
	}
	if outside != nil {
		return nil, outside
	}
	return c, nil
}

// parseOne parses exactly one certificate, after its size is known to be in bounds.
func parseOne(der []byte) (*x509.Certificate, error) {
	if len(der) > wire.MaxCertificate {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(der), wire.MaxCertificate)
	}
	rest := cryptobyte.String(der)
	var leaf cryptobyte.String
	if !rest.ReadASN1Element(&leaf, cryptobyte_asn1.SEQUENCE) {
		return nil, ErrMalformed
	}
	if !rest.Empty() {
		if _, err := x509.ParseCertificate(rest); err == nil {
			return nil, ErrChainTooLong
		}
		return nil, fmt.Errorf("%w: %d bytes after its end", ErrMalformed, len(rest))
	}
	cert, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if cert.Version != 3 {
		return nil, fmt.Errorf("%w: version %d", ErrProfile, cert.Version)
	}
	return cert, nil
}

// checkIssuer checks that the group's CA key signed the certificate. Only then is any of its other claims worth reading;
// the one exception is the group it claims, to name the refusal.
func checkIssuer(g *Group, cert *x509.Certificate) error {
	if cert.SignatureAlgorithm == x509.PureEd25519 && bytes.Equal(cert.RawIssuer, g.CA.RawSubject) &&
		g.CA.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
		return nil
	}
	if names, err := uriNames(cert); err == nil && len(names) == 1 {
		if host, _, err := parsePeerURI(names[0]); err == nil && host != Host(g.ID) {
			return ErrOtherGroup
		}
	}
	return ErrWrongCA
}

// checkChain checks that the certificate lies within the CA's dates, so that whoever checks the certificate's has checked
// both, and lets the standard library judge the chain as well: name constraints, path length, key identifiers.
func checkChain(g *Group, cert *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(g.CA)
	if cert.NotBefore.Before(g.CA.NotBefore) || cert.NotAfter.After(g.CA.NotAfter) {
		return fmt.Errorf("%w: its dates are not within the CA's", ErrProfile)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: cert.NotBefore, // ValidAt judges the dates
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProfile, err)
	}
	return nil
}

var (
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNameConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}

	leafExtensions = []asn1.ObjectIdentifier{oidSubjectKeyID, oidKeyUsage, oidSubjectAltName, oidBasicConstraints, oidAuthorityKeyID, oidExtKeyUsage}
	caExtensions   = []asn1.ObjectIdentifier{oidSubjectKeyID, oidKeyUsage, oidBasicConstraints, oidNameConstraints, oidAuthorityKeyID}

	// The private extended key usages, under the UUID arc 2.25 ("CONC" in ASCII).

	// OIDMember marks a member's certificate.
	OIDMember = asn1.ObjectIdentifier{2, 25, 1129270851, 1}
	// OIDRelay marks a relay node's certificate.
	OIDRelay = asn1.ObjectIdentifier{2, 25, 1129270851, 2}
	// OIDRequestRSA is the extension of a certificate request that carries the member's RSA key.
	OIDRequestRSA = asn1.ObjectIdentifier{2, 25, 1129270851, 3}
	// OIDRequestGroup is the extension of a certificate request that names the group it is for.
	OIDRequestGroup = asn1.ObjectIdentifier{2, 25, 1129270851, 4}
)
