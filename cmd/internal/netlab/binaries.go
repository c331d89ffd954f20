//go:build linux

package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// binariesPrefix and this process's ID are the name of the folder for the binaries.
const binariesPrefix = "conclave-netlab-"

// Binaries returns the folder of the real programs node, relay, ca and demo, built once per test process, without the race
// detector. Main removes it.
func Binaries(t testing.TB) string {
	t.Helper()
	folder, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// Binary returns the path of one of them.
func Binary(t testing.TB, name string) string { t.Helper(); return filepath.Join(Binaries(t), name) }

var build = sync.OnceValues(func() (string, error) {
	sweep(os.TempDir())
	folder := filepath.Join(os.TempDir(), binariesPrefix+strconv.Itoa(os.Getpid()))
	cmd := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "conclave/cmd/node", "conclave/cmd/relay", "conclave/cmd/ca", "conclave/cmd/demo")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w: %s", err, out)
	}
	return folder, nil
})

// sweep removes the binaries of test processes that are gone: those that were killed could not.
func sweep(folder string) {
	old, _ := filepath.Glob(filepath.Join(folder, binariesPrefix+"*"))
	for _, path := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), binariesPrefix))
		if err == nil && pid > 0 && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(path)
		}
	}
}

// Main runs a package's tests and removes the binaries afterwards. A package that uses Binaries calls it from its TestMain
// and passes the result to os.Exit.
func Main(m *testing.M) int {
	code := m.Run()
	_ = os.RemoveAll(filepath.Join(os.TempDir(), binariesPrefix+strconv.Itoa(os.Getpid())))
	return code
}
