package durable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"conclave/overlay/durable"
	"conclave/overlay/longtest"
)

// TestFullDisk fills a small disk: writes are refused by name, everything acknowledged stays, reading goes on, and when
// there is room again so does writing.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		longtest.Cannot(t, "cannot mount a small disk: %v", err)
	}
	defer func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) }() // nothing is left to do about it
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(disk, "state.db")
	db := open(t, path, durable.Options{})
	var acknowledged []string
	number := 0
	fill := func(size int) {
		t.Helper()
		for i := 0; ; i++ {
			number++
			text := fmt.Sprint(number, strings.Repeat("x", size))
			err := note(db, text)
			if errors.Is(err, durable.ErrFull) {
				break
			}
			if err != nil || i > 1000 {
				t.Fatalf("filling the disk: write %d: %v", i, err)
			}
			acknowledged = append(acknowledged, text)
		}
		want(t, db, strings.Join(acknowledged, " "))
	}

	// The log alone would fill the disk several times over; it starts over instead.
	for i := range 300 {
		err := db.Write(t.Context(), func(tx *durable.Tx) error {
			return tx.Exec("INSERT INTO notes (n, text) VALUES (1, ?1) ON CONFLICT (n) DO UPDATE SET text = ?1", fmt.Sprint("rewritten ", i))
		})
		if err != nil {
			t.Fatalf("rewriting one row, time %d: %v", i, err)
		}
	}
	acknowledged = []string{"rewritten 299"}

	fill(1500)
	if len(acknowledged) < 5 {
		t.Fatalf("the disk was full after %d writes", len(acknowledged))
	}
	t.Logf("the disk was full after %d writes", len(acknowledged))

	// Deleting needs little room; here there is as much.
	err := db.Write(t.Context(), func(tx *durable.Tx) error { return tx.Exec("DELETE FROM notes WHERE n = 1") })
	if err != nil {
		t.Errorf("deleting on a full disk: %v", err)
	}
	acknowledged = acknowledged[1:]
	want(t, db, strings.Join(acknowledged, " "))

	// A large write of a group does not take a small one with it.
	fill(1500)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mixed(t, db)
	acknowledged = append(acknowledged, "small")
	fill(1500)

	if err := errors.Join(db.Check(t.Context()), db.Close()); err != nil {
		t.Error(err)
	}
	again := open(t, path, durable.Options{})
	want(t, again, strings.Join(acknowledged, " "))
	if err := errors.Join(again.Check(t.Context()), again.Close()); err != nil {
		t.Error(err)
	}
}

// mixed queues a write that does not fit and one that does, so that one group takes both.
func mixed(t *testing.T, db *durable.DB) {
	t.Helper()
	started, release := make(chan struct{}), make(chan struct{})
	held, large, small := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() {
		held <- db.Write(context.Background(), func(*durable.Tx) error { close(started); <-release; return nil })
	}()
	<-started
	go func() { large <- note(db, strings.Repeat("large", 100<<10)) }()
	awaitQueue(db, 1)
	go func() { small <- note(db, "small") }()
	awaitQueue(db, 2)
	close(release)
	if err := <-held; err != nil {
		t.Errorf("an empty write: %v", err)
	}
	if err := <-large; !errors.Is(err, durable.ErrFull) {
		t.Errorf("a write larger than the disk: %v", err)
	}
	if err := <-small; err != nil {
		t.Errorf("a small write beside it: %v", err)
	}
}
