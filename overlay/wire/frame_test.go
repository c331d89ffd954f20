package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// goldenHeader is a frame header, byte by byte.
var goldenHeader = strings.Join([]string{
	"01",               // version
	"01",               // type: sealed content
	"0011223344556677", // first 8 bytes of the transcript
	"0002",             // sender index 2
	"00000003",         // start 3
	"00000404",         // counter 1028
	"0000009d",         // length 157: 29 and the bucket of 128
}, "")

// goldenFrame returns a well-formed frame with that header and nothing behind it that could be opened.
func goldenFrame() []byte {
	header, err := hex.DecodeString(goldenHeader)
	if err != nil {
		panic(err)
	}
	return append(header, make([]byte, FrameIVSize+ContentHeaderSize+MinBody+FrameMACSize)...)
}

func TestFrameHeaderGolden(t *testing.T) {
	want := FrameHeader{
		Prefix: Prefix{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77},
		Sender: 2, Start: 3, Counter: 1028, Length: 157,
	}
	got, err := ParseFrameHeader(goldenFrame())
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	if out := want.Append(nil); hex.EncodeToString(out) != goldenHeader {
		t.Errorf("appended %x", out)
	}
}

func TestFrameHeaderRefuses(t *testing.T) {
	for name, edit := range map[string]func([]byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"header only":      func(b []byte) []byte { return b[:FrameHeaderSize] },
		"version":          func(b []byte) []byte { b[0] = 2; return b },
		"type":             func(b []byte) []byte { b[1] = 2; return b },
		"length":           func(b []byte) []byte { b[23]++; return b },
		"huge length":      func(b []byte) []byte { b[20] = 0xff; return b },
		"one byte more":    func(b []byte) []byte { return append(b, 0) },
		"one byte less":    func(b []byte) []byte { return b[:len(b)-1] },
		"not a bucket":     func(b []byte) []byte { b[23]++; return append(b, 0) },
		"over the largest": func(b []byte) []byte { b[22], b[21] = 0, 1; b[23] = 29; return append(b, make([]byte, 65536-128)...) },
	} {
		if _, err := ParseFrameHeader(edit(goldenFrame())); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
}

func TestPlaintextSize(t *testing.T) {
	for n, want := range map[int]int{
		0: 29 + 128, 1: 29 + 128, 128: 29 + 128, 129: 29 + 256, 256: 29 + 256, 257: 29 + 512,
		16384: 29 + 16384, 16385: 29 + 32768, 32768: 29 + 32768, 32769: 0,
	} {
		if got := PlaintextSize(n); got != want {
			t.Errorf("PlaintextSize(%d) = %d, want %d", n, got, want)
		}
	}
	if MaxFrame != 32869 || minFrame != 229 {
		t.Errorf("a frame has %d to %d bytes; SPEC.md says 229 to 32,869", minFrame, MaxFrame)
	}
}

// FuzzFrameHeader checks that whatever parses has one encoding.
func FuzzFrameHeader(f *testing.F) {
	f.Add(goldenFrame())
	f.Add(goldenFrame()[:100])
	f.Add(append([]byte{1, 1}, make([]byte, MaxFrame-2)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseFrameHeader(data)
		if err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatalf("%v is not ErrFrame", err)
			}
			return
		}
		if !bytes.Equal(h.Append(nil), data[:FrameHeaderSize]) || int(h.Length)+FrameOverhead != len(data) {
			t.Fatalf("%x parses and marshals to other bytes", data[:FrameHeaderSize])
		}
	})
}
