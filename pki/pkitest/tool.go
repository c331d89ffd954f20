package pkitest

import (
	"os/exec"
	"testing"

	"conclave/overlay/longtest"
)

// Tool returns the path of a program that a test needs beside Go, such as openssl. Where it is missing the test is
// skipped with a one-line reason; with CI=true a missing tool is a failure, so that nothing is skipped unseen.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	longtest.Cannot(t, "%s is not installed", name)
	return ""
}
