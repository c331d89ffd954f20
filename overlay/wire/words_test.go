package wire

import "testing"

// TestShortID is the example of SPEC.md section 7.4, computed by another implementation.
func TestShortID(t *testing.T) {
	var id MessageID
	for i := range id {
		id[i] = byte(i)
	}
	if got := id.Short("A"); got != 0x23af5f4308b49a3e {
		t.Errorf("the short ID is %x", uint64(got))
	}
	if id.Short("B") == id.Short("A") {
		t.Error("two members' messages have one short ID")
	}
}
