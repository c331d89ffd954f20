package authority_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"conclave/overlay/wire"
	"conclave/pki/authority"
)

// founderEnv makes the test binary a process that founds a group in the home it names.
const founderEnv = "AUTHORITY_TEST_FOUNDER"

var founded = authority.Plan{Name: "ops", Members: []wire.Role{"A", "B", "C", "D"}}

func TestMain(m *testing.M) {
	if home := os.Getenv(founderEnv); home != "" {
		if _, _, err := authority.Found(home, founded, authority.Options{}); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestFoundKilled kills a process that founds a group once the first private key is on the disk: no group is there, the
// next founding works, and nothing is left of the first.
func TestFoundKilled(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	for try := 0; !killFounder(t, home); try++ { // it was done before it was killed
		if try == 20 {
			t.Fatal("the founder is too fast: make its plan larger")
		}
		home = filepath.Join(t.TempDir(), "home")
	}
	if left := keys(t, home); len(left) == 0 {
		t.Fatal("the process left no key, so there is nothing to clean up")
	}
	dir, _, err := authority.Found(home, founded, authority.Options{})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(home)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the home holds %v, %v; want the group alone", entries, err)
	}
	for _, role := range founded.Members {
		if _, err := dir.OpenMember(role); err != nil {
			t.Error(err)
		}
	}
	// The CA's key, the relay node's, and two of each member.
	if got, want := len(keys(t, home)), 2+2*len(founded.Members); got != want {
		t.Errorf("the home holds %d private keys, want %d", got, want)
	}
}

// killFounder founds a group and reports whether that was killed half way.
func killFounder(t *testing.T, home string) bool {
	t.Helper()
	founder := exec.Command(os.Args[0], "-test.run=^$")
	founder.Env = append(os.Environ(), founderEnv+"="+home)
	if err := founder.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); len(keys(t, home)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no key is written")
		}
	}
	_ = founder.Process.Kill() // it may have ended
	return founder.Wait() != nil
}

// keys returns the files below a folder that hold a private key, whatever they are called.
func keys(t *testing.T, home string) (found []string) {
	t.Helper()
	_ = filepath.WalkDir(home, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // it went away
		}
		if data, err := os.ReadFile(path); err == nil && len(data) > 26 && string(data[:27]) == "-----BEGIN PRIVATE KEY-----" {
			found = append(found, path)
		}
		return nil
	})
	return found
}
