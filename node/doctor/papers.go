package doctor

import (
	"errors"
	"fmt"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
)

const (
	hintClock  = "compare this machine's clock with another one, and let it be set over the network"
	hintRenew  = "the group's keeper renews everybody's certificates and the roster with: go run ./cmd/ca renew"
	hintRoster = "ask the group's keeper for the newest roster and take it with: go run ./cmd/ca import FILE"
	hintMember = "ask the group's keeper whether this member was removed; go run ./cmd/ca request --role ROLE asks to be let in"
)

// papers looks at what is on this machine: certificate and roster. It reports whether they are in order.
func (e *examination) papers() bool {
	cert, ok := e.certificate()
	return e.roster(cert) && ok
}

func (e *examination) certificate() (*pki.Certificate, bool) {
	cert, err := pki.VerifyCertificateUndated(e.cfg.Group, e.cfg.Certificate)
	if err != nil {
		e.fail(Certificate, "this member's certificate is not one of the group's: "+err.Error(), hintMember)
		return nil, false
	}
	e.self = cert.Role
	switch err := cert.ValidAt(e.now()); {
	case errors.Is(err, pki.ErrExpired):
		e.fail(Certificate, fmt.Sprintf("the certificate of %s ended on %s", cert.Role, day(cert.NotAfter)), hintRenew+"; or this machine's clock is ahead")
		return cert, false
	case err != nil:
		e.fail(Clock, fmt.Sprintf("the certificate of %s begins on %s, which by this machine's clock is still to come", cert.Role, day(cert.NotBefore)), hintClock)
		return cert, false
	}
	return cert, true
}

func (e *examination) roster(cert *pki.Certificate) bool {
	r := e.cfg.Roster
	if r == nil {
		e.fail(Roster, "there is no roster on this machine", hintRoster)
		return false
	}
	if r.Issued.After(e.now().Add(24 * time.Hour)) {
		e.fail(Clock, "the roster was issued on "+day(r.Issued)+", which by this machine's clock is still to come", hintClock)
		return false
	}
	if r.Expired(e.now()) {
		e.fail(Roster, fmt.Sprintf("roster version %d ended on %s: no new key can be agreed on", r.Version, day(r.Expires)), hintRenew+"; "+hintRoster)
		return false
	}
	id, err := wire.PeerIDOf(identityOf(e.cfg.Identity))
	if err == nil && cert != nil {
		_, err = r.Verify(e.cfg.Group, cert.DER, id, e.now())
	}
	if errors.Is(err, pki.ErrNotInRoster) {
		e.fail(Roster, fmt.Sprintf("%s is not in roster version %d", e.self, r.Version), hintMember)
		return false
	}
	return true
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
