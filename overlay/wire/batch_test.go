package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenBatch is a batch, byte by byte. Its signature is not one.
var goldenBatch = strings.Join([]string{
	"01",                     // version
	"02",                     // kind: control
	strings.Repeat("a1", 32), // sender
	"0002",                   // count
	"00000003", "616263",     // item "abc"
	"00000001", "ff", // item ff
	strings.Repeat("5e", 64), // signature
}, "")

func TestBatchGolden(t *testing.T) {
	data, err := hex.DecodeString(goldenBatch)
	if err != nil {
		t.Fatal(err)
	}
	want := Batch{
		Kind: BatchControl, Sender: bytes.Repeat([]byte{0xa1}, 32),
		Items: [][]byte{[]byte("abc"), {0xff}}, Signature: bytes.Repeat([]byte{0x5e}, 64),
	}
	got, err := ParseBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if out, err := want.Marshal(); err != nil || !bytes.Equal(out, data) {
		t.Errorf("marshaled %x, %v", out, err)
	}
}

// TestParsedItemsHaveNoRoom checks that appending to an item cannot overwrite what follows it.
func TestParsedItemsHaveNoRoom(t *testing.T) {
	data, _ := hex.DecodeString(goldenBatch)
	b, err := ParseBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(b.Items[0], 0xee)
	_ = append(b.Sender, 0xee)
	if hex.EncodeToString(data) != goldenBatch {
		t.Error("appending to a part of a batch changed the batch")
	}
}

func TestBatchRefuses(t *testing.T) {
	for name, edit := range map[string]func([]byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"version":       func(b []byte) []byte { b[0] = 2; return b },
		"kind 0":        func(b []byte) []byte { b[1] = 0; return b },
		"kind 3":        func(b []byte) []byte { b[1] = 3; return b },
		"no items":      func(b []byte) []byte { b[35] = 0; return b },
		"fewer items":   func(b []byte) []byte { b[35] = 1; return b },
		"more items":    func(b []byte) []byte { b[35] = 3; return b },
		"too many":      func(b []byte) []byte { b[34] = 2; return b },
		"item length":   func(b []byte) []byte { b[39]++; return b },
		"huge item":     func(b []byte) []byte { b[36] = 0xff; return b },
		"empty item":    func(b []byte) []byte { b[39] = 0; return b },
		"one byte more": func(b []byte) []byte { return append(b, 0) },
		"one byte less": func(b []byte) []byte { return b[:len(b)-1] },
		"over the cap":  func(b []byte) []byte { return append(b, make([]byte, MaxBatch)...) },
	} {
		data, _ := hex.DecodeString(goldenBatch)
		if _, err := ParseBatch(edit(data)); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: %v, want ErrBatch", name, err)
		}
	}
}

func TestBatchMarshalRefuses(t *testing.T) {
	key, sig := make([]byte, ed25519.PublicKeySize), make([]byte, ed25519.SignatureSize)
	item := [][]byte{{1}}
	many := make([][]byte, MaxBatchItems+1)
	for i := range many {
		many[i] = []byte{1}
	}
	big := [][]byte{}
	for range 4 {
		big = append(big, make([]byte, MaxBatchItem))
	}
	for name, b := range map[string]Batch{
		"kind":         {Kind: 3, Sender: key, Items: item, Signature: sig},
		"sender":       {Kind: BatchFrames, Sender: key[1:], Items: item, Signature: sig},
		"no items":     {Kind: BatchFrames, Sender: key, Signature: sig},
		"empty item":   {Kind: BatchFrames, Sender: key, Items: [][]byte{{}}, Signature: sig},
		"large item":   {Kind: BatchFrames, Sender: key, Items: [][]byte{make([]byte, MaxBatchItem+1)}, Signature: sig},
		"too many":     {Kind: BatchFrames, Sender: key, Items: many, Signature: sig},
		"too large":    {Kind: BatchFrames, Sender: key, Items: big, Signature: sig},
		"no signature": {Kind: BatchFrames, Sender: key, Items: item},
	} {
		if _, err := b.Marshal(); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: %v, want ErrBatch", name, err)
		}
	}
	full := Batch{Kind: BatchFrames, Sender: key, Items: many[1:], Signature: sig}
	if _, err := full.Marshal(); err != nil {
		t.Errorf("256 items: %v", err)
	}
}

func TestFrameHeaders(t *testing.T) {
	b := Batch{Kind: BatchFrames, Items: [][]byte{goldenFrame(), goldenFrame()}}
	if got, err := b.FrameHeaders(); err != nil || len(got) != 2 || got[1].Counter != 1028 {
		t.Errorf("got %+v, %v", got, err)
	}
	b.Items = append(b.Items, []byte("abc"))
	if _, err := b.FrameHeaders(); !errors.Is(err, ErrFrame) {
		t.Errorf("an item that is no frame: %v", err)
	}
	b.Kind = BatchControl
	if _, err := b.FrameHeaders(); !errors.Is(err, ErrBatch) {
		t.Errorf("a control batch: %v", err)
	}
}

// FuzzBatch checks that whatever parses has one encoding.
func FuzzBatch(f *testing.F) {
	data, err := hex.DecodeString(goldenBatch)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	framed, err := Batch{
		Kind: BatchFrames, Sender: make([]byte, 32), Items: [][]byte{goldenFrame()}, Signature: make([]byte, 64),
	}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(framed)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBatch(data)
		if err != nil {
			if !errors.Is(err, ErrBatch) {
				t.Fatalf("%v is not ErrBatch", err)
			}
			return
		}
		if out, err := b.Marshal(); err != nil || !bytes.Equal(out, data) {
			t.Fatalf("%x marshals to %x, %v", data, out, err)
		}
	})
}
