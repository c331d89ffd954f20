package cli

import (
	"fmt"
	"time"

	"conclave/pki/keystore"
)

// CheckPapers refuses an identity whose certificate is out of date or that has no roster, and warns of what ends soon.
// certificate is what errors call the certificate.
func (e *Env) CheckPapers(certificate string, p *keystore.Papers, now time.Time) error {
	if err := p.Cert.ValidAt(now); err != nil {
		return fmt.Errorf("%s: %w", certificate, err)
	}
	if p.Roster == nil {
		return p.RosterErr
	}
	for _, w := range keystore.Warnings(p.Group, p.Cert, p.Roster, now) {
		e.Log.Warn(w)
	}
	return nil
}
