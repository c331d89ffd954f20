// Package longtest says whether the long form of the tests is wanted, and what becomes of one that cannot run here.
//
// Plain `go test ./...` is what a newcomer runs, beside other work and on a small machine. It runs the largest tests in a
// short form, with fewer seeds, members or places, and leaves out those that have none. The long form has all of them:
//
//	CONCLAVE_LONG=1 go test -p 1 -timeout 30m ./...
//
// The form is the only thing that differs: what a test demands of each run is the same.
//
// Only tests may import it, and it imports nothing of the module.
package longtest

import (
	"os"
	"testing"
)

// Variable is the environment variable that asks for the long form.
const Variable = "CONCLAVE_LONG"

// Wanted reports whether the long form is wanted.
func Wanted() bool { return os.Getenv(Variable) != "" }

// Cannot ends a test that cannot run here, for a reason such as "it needs root". It is skipped; with CI=true it fails, so that
// nothing is skipped unseen.
func Cannot(t testing.TB, format string, args ...any) {
	t.Helper()
	if InCI() {
		t.Fatalf(format+", and with CI=true nothing is skipped", args...)
	}
	t.Skipf(format, args...)
}

// InCI reports whether everything must run.
func InCI() bool { return os.Getenv("CI") == "true" }
