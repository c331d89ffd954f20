package keystore_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"conclave/pki/keystore"
)

// writerEnv makes the test binary a process that writes the file it names, over and over.
const writerEnv = "KEYSTORE_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		for i := 0; ; i++ {
			if err := keystore.WriteFile(path, bytes.Repeat([]byte{byte('a' + i%2)}, killSize)); err != nil {
				os.Exit(1)
			}
		}
	}
	os.Exit(m.Run())
}

const killSize = 1 << 16

// TestWriteFileKilled kills a process in the middle of replacing a file, again and again: the file is always one of the
// two contents, whole.
func TestWriteFileKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for i := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), writerEnv+"="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before := waitForChange(t, path)
		time.Sleep(time.Duration(i) * 500 * time.Microsecond) // not awaited but spread: each round kills at another point
		cmd.Process.Kill()
		cmd.Wait()
		data, err := os.ReadFile(path)
		if err != nil || len(data) != killSize || bytes.Count(data, data[:1]) != killSize {
			t.Fatalf("round %d: %d bytes, %v (before: %v)", i, len(data), err, before)
		}
	}
}

// waitForChange waits until the writer has replaced the file once.
func waitForChange(t *testing.T, path string) time.Time {
	t.Helper()
	modified := func() time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	before := modified()
	for deadline := time.Now().Add(10 * time.Second); modified().Equal(before); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the writer writes nothing")
		}
	}
	return before
}
