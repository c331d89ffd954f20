package frame

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"conclave/overlay/wire"
)

// reference is HKDF-Expand with crypto/hkdf.
func reference(k []byte, info string) []byte {
	out, err := hkdf.Expand(sha256.New, k, info, 32)
	if err != nil {
		panic(err)
	}
	return out
}

// goldenPlain is the plaintext of the golden frame, byte by byte.
var goldenPlain = strings.Join([]string{
	"00000000000000000000000000000001", // message ID
	"0000019aad26ea00",                 // sent: 1,763,841,600,000 ms after 1970
	"01",                               // type: text
	"00000005",                         // length of the body
	"68656c6c6f",                       // body: "hello"
	strings.Repeat("00", 123),          // padding to 29 + 128 bytes
}, "")

// goldenFrame is the frame of member A's start 0 and counter 0 with that plaintext, byte by byte.
var goldenFrame = strings.Join([]string{
	"01",                               // version
	"01",                               // type: sealed content
	"5e45774c7eca6f22",                 // first 8 bytes of the transcript
	"0000",                             // sender: index 0, A
	"00000000",                         // start 0
	"00000000",                         // counter 0
	"0000009d",                         // length of the ciphertext: 157
	"000102030405060708090a0b0c0d0e0f", // IV
	"51a703df59e1f951cd7661c2c72ff9056b62a166129986e5ac626474d32ab96e" +
		"f2ca9d5feacf571dbca40fa54e802975b0e6d8b68f6fab449cd2945c620ce182" +
		"154acf9f4a051dbd9c36cfe5136e4eb268294f9991e634bb2a6f16456333a6d5" +
		"abcf62d8217c002af3953560d9200a618a7aa6c7856107db2305c8a2a4d23a23" +
		"25cc37f64e4c3132db36bb92c7803ff786b38d3870de2a1c3a8c64147b", // ciphertext
	"15c76a74788fea64576cae7c80f900b825c6b12f410f5c662a60a9bc365dac8c", // HMAC-SHA256
}, "")

// TestGolden seals the golden frame, and makes it once more from the standard library alone.
func TestGolden(t *testing.T) {
	cfg := testConfig(t, 0)
	cfg.Rand = &counting{}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.Committed(a.Checkpoint())
	content := TextContent(messageID(1), time.UnixMilli(1_763_841_600_000), "hello")
	plain := make([]byte, content.size())
	content.put(plain)
	if got := hex.EncodeToString(plain); got != goldenPlain {
		t.Errorf("plaintext %s", got)
	}
	frame := seal(t, a, content)
	if got := hex.EncodeToString(frame); got != goldenFrame {
		t.Errorf("frame %s", got)
	}
	if got := referenceSeal(t, cfg, 0, 0, 0, plain, frame[wire.FrameHeaderSize:][:wire.FrameIVSize]); !bytes.Equal(got, frame) {
		t.Errorf("by the standard library alone: %x", got)
	}
}

// referenceSeal makes a frame as SPEC.md section 7.3 says, with nothing of this package but the labels.
func referenceSeal(t *testing.T, cfg Config, sender uint16, start, counter uint32, plain, iv []byte) []byte {
	keys := schedule(cfg, sender, start, counter)
	block, err := aes.NewCipher(unhex(t, keys.AES))
	if err != nil {
		t.Fatal(err)
	}
	h := wire.FrameHeader{Prefix: cfg.Transcript.Prefix(), Sender: sender, Start: start, Counter: counter, Length: uint32(len(plain))}
	out := append(h.Append(nil), iv...)
	sealed := make([]byte, len(plain))
	cipher.NewCTR(block, iv).XORKeyStream(sealed, plain)
	out = append(out, sealed...)
	mac := hmac.New(sha256.New, unhex(t, keys.MAC))
	mac.Write(cfg.Group[:])
	mac.Write(cfg.Transcript[:])
	mac.Write(out)
	return mac.Sum(out)
}

// FuzzContent checks that whatever parses has one encoding.
func FuzzContent(f *testing.F) {
	at := time.UnixMilli(1_763_841_600_000)
	for _, c := range []Content{
		TextContent(messageID(1), at, "hello"),
		AckContent(messageID(2), at, []Ack{{1, wire.ShortID{1}}, {300, wire.ShortID{2}}}),
		BehindContent(messageID(3), at, Position{1, 2, 3}),
		PreviousContent(messageID(4), at, wire.Prefix{1}, Position{1, 2, 3}),
		{Type: 0x77, Sent: at, Body: []byte("later")},
	} {
		plain := make([]byte, c.size())
		c.put(plain)
		f.Add(plain)
		f.Add(plain[:100])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseContent(data)
		if err != nil {
			return
		}
		if err := c.check(); err != nil {
			t.Fatalf("parsed what Seal refuses: %v", err)
		}
		out := make([]byte, c.size())
		c.put(out)
		if !bytes.Equal(out, data) {
			t.Fatalf("%x encodes to %x", data, out)
		}
	})
}

// FuzzOpen hands a session anything: nothing but the sealed frame opens, nothing changes, nothing panics.
func FuzzOpen(f *testing.F) {
	cfg := testConfigOf(0)
	cfg.Rand = &counting{} // so that every fuzzing process has the same frame
	a, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	a.Committed(a.Checkpoint())
	frame := seal(f, a, text(0))
	f.Add(frame)
	f.Add(frame[:len(frame)-1])
	f.Add(withHeader(f, frame, 3, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := testSession(t, 1)
		before := b.Checkpoint().Bytes()
		_, err := b.Open(signer(0), data)
		if (err == nil) != bytes.Equal(data, frame) {
			t.Fatalf("opened %x: %v", data, err)
		}
		if err != nil && !bytes.Equal(before, b.Checkpoint().Bytes()) {
			t.Fatal("a refused frame changed the state")
		}
	})
}

// FuzzRestore hands Restore anything behind a right checksum: what restores is consistent enough to be used.
func FuzzRestore(f *testing.F) {
	a, b := testSession(f, 0), testSession(f, 1)
	seal(f, a, text(0))
	open(f, b, 0, seal(f, a, text(1)))
	state := b.Checkpoint().Bytes()
	f.Add(state[:len(state)-sha256.Size])
	f.Add(state[:40])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		s, err := Restore(append(bytes.Clone(body), sum[:]...), nil)
		if err != nil {
			return
		}
		s.Committed(s.Checkpoint())
		if _, err := s.Seal(nil, text(0)); err != nil {
			t.Fatal(err)
		}
		_, _ = s.Open(s.Members()[0].Identity, goldenBytes)
		again, err := Restore(s.Checkpoint().Bytes(), nil)
		if errors.Is(err, ErrExhausted) && s.Start() == maxStart {
			return
		}
		if err != nil || again.Start() != s.Start()+1 {
			t.Fatalf("the state of a restored session does not restore: %v", err)
		}
	})
}

// goldenBytes is the golden frame.
var goldenBytes = mustUnhex(goldenFrame)

// mustUnhex decodes hex that is written in this file.
func mustUnhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
