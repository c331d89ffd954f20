package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"conclave/overlay/wire"
)

// checkExtensions refuses extensions outside the profile, and a leaf that says it is a CA.
func checkExtensions(cert *x509.Certificate) error {
	for _, ext := range cert.Extensions {
		switch {
		case knownExtension(ext.Id, leafExtensions):
		case ext.Critical:
			return fmt.Errorf("%w: %s", ErrUnknownCritical, ext.Id)
		default:
			return fmt.Errorf("%w: %s", ErrUnknownExtension, ext.Id)
		}
	}
	if cert.IsCA {
		return ErrIsCA
	}
	if !cert.BasicConstraintsValid {
		return fmt.Errorf("%w: no basic constraints", ErrProfile)
	}
	return nil
}

func knownExtension(id asn1.ObjectIdentifier, known []asn1.ObjectIdentifier) bool {
	for _, k := range known {
		if k.Equal(id) {
			return true
		}
	}
	return false
}

// onlyExtensions reports whether every extension of the certificate is known.
func onlyExtensions(cert *x509.Certificate, known []asn1.ObjectIdentifier) bool {
	for _, ext := range cert.Extensions {
		if !knownExtension(ext.Id, known) {
			return false
		}
	}
	return true
}

// checkUsage returns what the extended key usage makes of the holder, and checks that the key usage fits.
func checkUsage(cert *x509.Certificate) (Kind, error) {
	if len(cert.ExtKeyUsage) != 0 || len(cert.UnknownExtKeyUsage) != 1 {
		return 0, ErrExtKeyUsage
	}
	var kind Kind
	var usage x509.KeyUsage
	switch id := cert.UnknownExtKeyUsage[0]; {
	case id.Equal(OIDMember):
		kind, usage = KindMember, x509.KeyUsageKeyEncipherment
	case id.Equal(OIDRelay):
		kind, usage = KindRelay, x509.KeyUsageDigitalSignature
	default:
		return 0, fmt.Errorf("%w: %s", ErrExtKeyUsage, id)
	}
	if cert.KeyUsage != usage {
		return 0, ErrKeyUsage
	}
	return kind, nil
}

// checkName returns the peer that the certificate's one URI name names.
func checkName(g *Group, cert *x509.Certificate) (peer.ID, ed25519.PublicKey, error) {
	names, err := uriNames(cert)
	if err != nil {
		return "", nil, err
	}
	if len(names) != 1 {
		return "", nil, fmt.Errorf("%w: it has %d", ErrSANCount, len(names))
	}
	host, id, err := parsePeerURI(names[0])
	if err != nil {
		return "", nil, err
	}
	if host != Host(g.ID) {
		return "", nil, fmt.Errorf("%w: %q", ErrSANGroup, host)
	}
	key, err := wire.PublicKeyOf(id)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrSANForm, err)
	}
	return id, key, nil
}

// uriNames returns the certificate's subject alternative names as they are written, or ErrSANCount if one of them is not
// a URI. It reads the bytes: x509.Certificate holds parsed URLs, in which two spellings of one name look alike.
func uriNames(cert *x509.Certificate) ([]string, error) {
	var names []string
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		value := cryptobyte.String(ext.Value)
		var list cryptobyte.String
		if !value.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) || !value.Empty() {
			return nil, ErrSANForm
		}
		for !list.Empty() {
			var name cryptobyte.String
			var tag cryptobyte_asn1.Tag
			if !list.ReadAnyASN1(&name, &tag) {
				return nil, ErrSANForm
			}
			if tag != cryptobyte_asn1.Tag(6).ContextSpecific() {
				return nil, fmt.Errorf("%w: one of its names is not a URI", ErrSANCount)
			}
			names = append(names, string(name))
		}
	}
	return names, nil
}

// parsePeerURI splits libp2p://<host>/peer/<peer ID>, or returns ErrSANForm. Building the name again from its parts and
// comparing leaves no second spelling.
func parsePeerURI(name string) (host string, id peer.ID, err error) {
	rest, ok := strings.CutPrefix(name, "libp2p://")
	if !ok {
		return "", "", fmt.Errorf("%w: %q", ErrSANForm, name)
	}
	host, text, ok := strings.Cut(rest, "/peer/")
	if !ok || len(host) != hostDigits || strings.Trim(host, "0123456789abcdef") != "" {
		return "", "", fmt.Errorf("%w: %q", ErrSANForm, name)
	}
	id, err = peer.Decode(text)
	if err != nil || id.String() != text {
		return "", "", fmt.Errorf("%w: %q", ErrSANForm, name)
	}
	return host, id, nil
}

// checkKey returns a member's RSA key, or checks that a relay node's key is its identity. It looks at sizes only: nothing
// is computed with a key before it is known to be small enough.
func checkKey(cert *x509.Certificate, kind Kind, identity ed25519.PublicKey) (*rsa.PublicKey, error) {
	if kind == KindRelay {
		key, ok := cert.PublicKey.(ed25519.PublicKey)
		if !ok {
			return nil, ErrKeyType
		}
		if !bytes.Equal(key, identity) {
			return nil, fmt.Errorf("%w: its key is not the one in its name", ErrOtherPeer)
		}
		return nil, nil
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, ErrKeyType
	}
	return key, CheckRSA(key)
}

// CheckRSA returns ErrRSASize or ErrRSAExponent unless the key is one that a member may have.
func CheckRSA(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
		return fmt.Errorf("%w: %d bits, want %d to %d", ErrRSASize, bits, MinRSABits, MaxRSABits)
	}
	if key.E != RSAExponent {
		return fmt.Errorf("%w: %d, want %d", ErrRSAExponent, key.E, RSAExponent)
	}
	return nil
}

// checkSubject returns the role that is the certificate's whole subject.
func checkSubject(cert *x509.Certificate) (wire.Role, error) {
	if len(cert.Subject.Names) != 1 || cert.Subject.CommonName == "" {
		return "", ErrRole
	}
	role, err := wire.ParseRole(cert.Subject.CommonName)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRole, err)
	}
	return role, nil
}
