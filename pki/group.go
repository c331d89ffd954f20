package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
)

// Organization is the O of every CA certificate's subject. It keeps a group's name apart from its members' roles.
const Organization = "Conclave"

// hostDigits is how many hex digits of the group ID make its host label: 128 bits, within the 63 characters of a label.
const hostDigits = 32

// Group is a group as everybody knows it: its CA certificate. Static after ParseGroup.
type Group struct {
	ID   wire.GroupID
	Name string
	CA   *x509.Certificate
}

// GroupIDOf returns the ID of the group whose CA certificate is given.
func GroupIDOf(ca *x509.Certificate) wire.GroupID { return sha256.Sum256(ca.RawSubjectPublicKeyInfo) }

// Host returns the host label under which the group's peers are named: the first 32 hex digits of its ID.
func Host(id wire.GroupID) string { return hex.EncodeToString(id[:])[:hostDigits] }

// PeerURI returns the one subject alternative name of a peer's certificate.
func PeerURI(id wire.GroupID, p peer.ID) string {
	return "libp2p://" + Host(id) + "/peer/" + p.String()
}

// ParseGroup reads a group's CA certificate (DER) and checks that it is exactly in the profile, or returns ErrGroup. It
// does not say that this is the right group: whoever imports one for the first time compares GroupCode.
func ParseGroup(der []byte) (*Group, error) {
	if len(der) > wire.MaxCertificate {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrGroup, len(der), wire.MaxCertificate)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGroup, err)
	}
	if reason := checkCA(ca); reason != "" {
		return nil, fmt.Errorf("%w: %s", ErrGroup, reason)
	}
	return &Group{ID: GroupIDOf(ca), Name: ca.Subject.CommonName, CA: ca}, nil
}

// checkCA returns what is wrong with a CA certificate, or "". The key's type comes first: what follows computes with it.
func checkCA(ca *x509.Certificate) string {
	if _, ok := ca.PublicKey.(ed25519.PublicKey); !ok || ca.SignatureAlgorithm != x509.PureEd25519 {
		return "the key is not Ed25519"
	}
	_, nameErr := wire.ParseRole(ca.Subject.CommonName)
	switch {
	case ca.Version != 3 || !ca.BasicConstraintsValid || !ca.IsCA || ca.MaxPathLen != 0 || !ca.MaxPathLenZero:
		return "the basic constraints are not CA:TRUE, pathlen:0"
	case ca.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign:
		return "the key usage is not keyCertSign and cRLSign"
	case nameErr != nil || len(ca.Subject.Names) != 2 || len(ca.Subject.Organization) != 1 || ca.Subject.Organization[0] != Organization:
		return "the subject is not O=" + Organization + " and CN=<group name>"
	case !bytes.Equal(ca.RawSubject, ca.RawIssuer) || ca.CheckSignature(ca.SignatureAlgorithm, ca.RawTBSCertificate, ca.Signature) != nil:
		return "it is not signed by itself"
	case len(ca.UnhandledCriticalExtensions) > 0 || !onlyExtensions(ca, caExtensions):
		return "it has an unknown extension"
	case !ca.PermittedDNSDomainsCritical || !onlyURIConstraint(ca, Host(GroupIDOf(ca))):
		return "it is not constrained to the group's host"
	}
	return ""
}

// onlyURIConstraint reports whether the certificate's only name constraint permits exactly one URI host.
func onlyURIConstraint(ca *x509.Certificate, host string) bool {
	others := len(ca.PermittedDNSDomains) + len(ca.ExcludedDNSDomains) + len(ca.PermittedIPRanges) + len(ca.ExcludedIPRanges) +
		len(ca.PermittedEmailAddresses) + len(ca.ExcludedEmailAddresses) + len(ca.ExcludedURIDomains)
	return others == 0 && len(ca.PermittedURIDomains) == 1 && ca.PermittedURIDomains[0] == host
}

// WarnBefore is how long before a certificate or roster ends everybody begins to warn.
const WarnBefore = 30 * 24 * time.Hour

// Warning returns a sentence about something that expires within 30 days of now or has expired, or "" while there is no
// need for one.
func Warning(what string, expires, now time.Time) string {
	left := expires.Sub(now)
	switch {
	case left <= 0:
		return fmt.Sprintf("%s expired on %s", what, expires.UTC().Format(time.DateOnly))
	case left <= WarnBefore:
		return fmt.Sprintf("%s expires on %s, %s", what, expires.UTC().Format(time.DateOnly), within(left))
	}
	return ""
}

// within says in how many whole days something is.
func within(left time.Duration) string {
	switch days := int(left / (24 * time.Hour)); days {
	case 0:
		return "within a day"
	case 1:
		return "in 1 day"
	default:
		return fmt.Sprintf("in %d days", days)
	}
}
