package state

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conclave/overlay/durable"
)

var update = flag.Bool("update", false, "write empty.db anew")

// TestImage makes the empty state file from the schema and compares it with the one in the program.
func TestImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.db")
	db, err := durable.Open(path, []durable.Schema{schema}, durable.Options{Random: strings.NewReader("ID of a new file")})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("empty.db", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	// All but the version of SQLite that wrote it (SQLite file format, section 1.3.19).
	if len(made) != len(image) || !bytes.Equal(made[:96], image[:96]) || !bytes.Equal(made[100:], image[100:]) {
		t.Error("empty.db is not what the schema makes: go test ./node/state -update")
	}
}
