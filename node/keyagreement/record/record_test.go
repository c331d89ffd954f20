package record_test

import (
	"bytes"
	"testing"
	"time"

	"conclave/node/keyagreement/record"
)

func TestPack(t *testing.T) {
	t.Parallel()
	packed := record.Pack([]byte("one"), nil, []byte{0})
	f := record.Unpack(packed, 3)
	if len(f) != 3 || string(f[0]) != "one" || len(f[1]) != 0 || !bytes.Equal(f[2], []byte{0}) {
		t.Fatalf("unpacked %q", f)
	}
	if record.Unpack(packed, 4) != nil {
		t.Error("fewer fields than wanted are taken")
	}
	for cut := range len(packed) {
		if f := record.Unpack(packed[:cut], 3); f != nil {
			t.Errorf("%d bytes of it are %q", cut, f)
		}
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{{}, time.UnixMilli(1), time.UnixMilli(1_800_000_000_123)} {
		if got := record.ReadStamp(record.Stamp(at)); !got.Equal(at) {
			t.Errorf("%v is read as %v", at, got)
		}
	}
	if !record.ReadStamp([]byte{1}).IsZero() {
		t.Error("a short stamp is a time")
	}
}
