package state

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"conclave/overlay/durable"
)

var update = flag.Bool("update", false, "write empty.db anew")

// TestImage makes the empty state file from the schema and compares it with the one in the program.
func TestImage(t *testing.T) {
	made, err := durable.NewImage([]durable.Schema{schema})
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
