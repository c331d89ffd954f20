// Package papers checks a group's certificates once more, for a person to see.
//
// It repeats for show what was checked when each was taken, rule by rule. Nothing depends on what it finds.
//
// It may be imported by node.
package papers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

// View is a certificate and what checking it found.
type View struct {
	Kind        string // "authority", "member" or "relay node"
	Role        wire.Role
	Subject     string
	Peer        peer.ID // empty for the authority
	Fingerprint string  // SHA-256 of the certificate, in hex
	Key         string  // its kind and size
	NotBefore   time.Time
	NotAfter    time.Time
	Self        bool
	Checks      []Check
}

// Check is one rule that a certificate was checked against.
type Check struct {
	Rule string
	OK   bool
	Why  string // why not
}

// Look shows every certificate of the roster and checks each again: the CA's first, this member's second, then the other members' and
// the relay nodes'.
func Look(g *pki.Group, r *pki.Roster, self peer.ID, now time.Time) []View {
	views := []View{{
		Kind: "authority", Subject: g.CA.Subject.String(), Fingerprint: fingerprint(g.CA.Raw), Key: "Ed25519",
		NotBefore: g.CA.NotBefore, NotAfter: g.CA.NotAfter, Checks: []Check{
			{Rule: "is the trust anchor this member was given", OK: true},
			{Rule: "is within its dates", OK: !now.Before(g.CA.NotBefore) && !now.After(g.CA.NotAfter)},
		},
	}}
	var others []View
	for _, m := range r.Members {
		v := certificate(g, r, m.Certificate, now)
		if m.Peer == self {
			v.Self = true
			views = append(views, v)
			continue
		}
		others = append(others, v)
	}
	views = append(views, others...)
	for _, relay := range r.Relays {
		views = append(views, certificate(g, r, relay.Certificate, now))
	}
	return views
}

func certificate(g *pki.Group, r *pki.Roster, c *pki.Certificate, now time.Time) View {
	v := View{
		Kind: c.Kind.String(), Role: c.Role, Subject: "CN=" + string(c.Role), Peer: c.Peer, Fingerprint: fingerprint(c.DER),
		Key: "Ed25519", NotBefore: c.NotBefore, NotAfter: c.NotAfter,
	}
	if c.RSA != nil {
		v.Key = fmt.Sprintf("RSA-%d, decrypts only", c.RSA.N.BitLen())
	}
	checked, err := pki.VerifyCertificateUndated(g, c.DER)
	v.Checks = append(v.Checks, check("is signed by the group's authority and exactly in the profile", err))
	if err == nil {
		v.Checks = append(v.Checks, check("names this peer ID and no other", checked.VerifyPeer(c.Peer)))
	}
	v.Checks = append(v.Checks, check("is within its dates", c.ValidAt(now)))
	_, err = r.Verify(g, c.DER, c.Peer, now)
	v.Checks = append(v.Checks, check(fmt.Sprintf("is the one in roster version %d", r.Version), err))
	return v
}

func check(rule string, err error) Check {
	if err != nil {
		return Check{Rule: rule, Why: err.Error()}
	}
	return Check{Rule: rule, OK: true}
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
