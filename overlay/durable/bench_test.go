package durable_test

import (
	"path/filepath"
	"testing"

	"conclave/overlay/durable"
)

// BenchmarkOpen is what a member pays at its start: a file that is there, and one row read from it.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state.db")
	first := open(b, path, durable.Options{})
	if err := note(first, "a"); err != nil {
		b.Fatal(err)
	}
	if err := first.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		db := open(b, path, durable.Options{})
		if err := db.Read(b.Context(), func(tx *durable.Tx) error {
			_, err := tx.One(nil, "SELECT text FROM notes")
			return err
		}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
