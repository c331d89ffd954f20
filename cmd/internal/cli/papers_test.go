package cli_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"conclave/cmd/internal/cli"
	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
)

func TestPapersAreChecked(t *testing.T) {
	g := pkitest.NewGroup(t, "A")
	cert := g.Member("A").Cert
	for _, c := range []struct {
		what   string
		roster *pki.Roster
		err    error
		now    time.Time
		want   error
		warns  string
	}{
		{"all is well", g.Roster, nil, cert.NotAfter.AddDate(0, 0, -200), nil, ""},
		{"the certificate ends soon", g.Roster, nil, cert.NotAfter.AddDate(0, 0, -1), nil, "the certificate of A"},
		{"the certificate has ended", g.Roster, nil, cert.NotAfter.AddDate(0, 0, 1), pki.ErrExpired, ""},
		{"there is no roster", nil, keystore.ErrNoRoster, cert.NotAfter.AddDate(0, 0, -200), keystore.ErrNoRoster, ""},
	} {
		var log bytes.Buffer
		env := &cli.Env{Log: slog.New(slog.NewTextHandler(&log, nil))}
		err := env.CheckPapers("that certificate", &keystore.Papers{Group: g.Group, Cert: cert, Roster: c.roster, RosterErr: c.err}, c.now)
		if !errors.Is(err, c.want) || errors.Is(err, pki.ErrExpired) && !strings.HasPrefix(err.Error(), "that certificate: ") {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if !strings.Contains(log.String(), c.warns) || c.warns == "" && log.Len() > 0 {
			t.Errorf("%s: it logs %q", c.what, log.String())
		}
	}
}
