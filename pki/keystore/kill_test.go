package keystore_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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

// TestWriteFileTakesOver finds what a killed writer left, and lets others read it besides: the next write of the
// file takes it over, whole, closed and under its name alone.
func TestWriteFileTakesOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	left := filepath.Join(dir, ".key.pem.tmp")
	if err := os.WriteFile(left, bytes.Repeat([]byte("old secret "), 100), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := keystore.WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "new" {
		t.Errorf("the file holds %q, %v", data, err)
	}
	if err := keystore.CheckMode(path); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// TestWriteFileTogether has writers of one file stand in each other's way: what is there is always one writer's, whole.
func TestWriteFileTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				if err := keystore.WriteFile(path, bytes.Repeat([]byte{byte('a' + i)}, 5000+i)); err != nil {
					t.Error(err)
				}
				data, err := os.ReadFile(path)
				if err != nil || len(data) < 5000 || bytes.Count(data, data[:1]) != 5000+int(data[0]-'a') {
					t.Errorf("%d bytes, %v", len(data), err)
				}
			}
		})
	}
	group.Wait()
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}
