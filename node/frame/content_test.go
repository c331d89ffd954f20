package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conclave/overlay/wire"
)

// TestAuthenticButMalformed has a member seal plaintexts that no frame may hold: refused, and counted as seen.
func TestAuthenticButMalformed(t *testing.T) {
	good := make([]byte, text(0).size())
	text(0).put(good)
	edit := func(f func(b []byte)) []byte { b := bytes.Clone(good); f(b); return b }
	for name, plain := range map[string][]byte{
		"padding":          edit(func(b []byte) { b[len(b)-1] = 1 }),
		"invalid UTF-8":    edit(func(b []byte) { b[29] = 0xff }),
		"empty text":       edit(func(b []byte) { clear(b[25:]) }),
		"length":           edit(func(b []byte) { b[25] = 1 }),
		"no type":          edit(func(b []byte) { b[24] = 0 }),
		"time":             edit(func(b []byte) { b[16] = 0x80 }),
		"ack of 7 bytes":   edit(func(b []byte) { b[24] = byte(ContentAck) }),
		"previous of 7":    edit(func(b []byte) { b[24] = byte(ContentPrevious) }),
		"notice of 7":      edit(func(b []byte) { b[24] = byte(ContentBehind) }),
		"too large bucket": append(bytes.Clone(good), make([]byte, 128)...),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := testSession(t, 0), testSession(t, 1)
			frame := sealRaw(t, a, plain)
			opened, err := b.Open(signer(0), frame)
			if !errors.Is(err, ErrContent) || opened.Role != "A" || opened.Content.Body != nil {
				t.Fatalf("got %+v, %v; want ErrContent", opened, err)
			}
			if _, err := b.Open(signer(0), frame); !errors.Is(err, ErrReplay) {
				t.Errorf("again: %v, want ErrReplay", err)
			}
			open(t, b, 0, seal(t, a, text(1)))
		})
	}
	a, b := testSession(t, 0), testSession(t, 1)
	unknown := edit(func(b []byte) { b[24] = 0x77 })
	if got := open(t, b, 0, sealRaw(t, a, unknown)); got.Content.Type != 0x77 || got.Content.Text() != "" {
		t.Errorf("unknown type: %+v", got.Content)
	}
}

// sealRaw seals any plaintext, as a member with another program might.
func sealRaw(tb testing.TB, s *Session, plain []byte) []byte {
	tb.Helper()
	s.walk.run(s.prf, &s.ck, s.counter, s.counter)
	defer s.clear()
	s.ck = s.walk.ck
	h := wire.FrameHeader{Prefix: s.prefix, Sender: uint16(s.self), Start: s.start, Counter: s.counter, Length: uint32(len(plain))}
	s.counter++
	iv := make([]byte, wire.FrameIVSize)
	out := append(h.Append(nil), iv...)
	out = append(out, plain...)
	body := out[len(out)-len(plain):]
	crypt(tb, body, body, &s.walk.keys.aes, iv)
	return append(out, s.sum(&s.walk.keys.mac, out)...)
}

// manyAcks returns n that differ.
func manyAcks(n int) []Ack {
	acks := make([]Ack, n)
	for i := range acks {
		binary.BigEndian.PutUint32(acks[i].ID[:], uint32(i))
	}
	return acks
}

// TestAcksHaveOneForm takes bodies that say what another says too, or nothing.
func TestAcksHaveOneForm(t *testing.T) {
	good := []byte{1, 'a', 'b', 'c', 'd', 0, 'a', 'b', 'c', 'e', 0x80, 0x02, 'a', 'a', 'a', 'a'}
	want := []Ack{{1, wire.ShortID([]byte("abcd"))}, {1, wire.ShortID([]byte("abce"))}, {257, wire.ShortID([]byte("aaaa"))}}
	c := Content{Type: ContentAck, Body: good}
	if got := slices.Collect(c.Acks()); c.check() != nil || !cmp.Equal(got, want) {
		t.Fatalf("%v, %v", got, c.check())
	}
	shuffled := []Ack{want[2], want[1], want[0], want[1]}
	if got := AckContent(messageID(1), time.UnixMilli(0), shuffled).Body; !bytes.Equal(got, good) {
		t.Errorf("shuffled and with one twice: %x", got)
	}
	if err := AckContent(messageID(1), time.UnixMilli(0), manyAcks(MaxAcks)).check(); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
	for name, body := range map[string]string{
		"nothing":                  "",
		"no ID":                    "\x01",
		"half an ID":               "\x01ab",
		"half of the next":         "\x01abcd\x00ab",
		"twice":                    "\x01abcd\x00abcd",
		"not in order":             "\x01abcd\x00abcc",
		"a varint too long":        "\x81\x00abcd",
		"a varint without an end":  "\x80",
		"an index of 17 bits":      "\xff\xff\x04abcd",
		"a sum of 17 bits":         "\xff\xff\x03abcd\x01abcd",
		"a varint that overflows":  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7fabcd",
		"a sum that would go over": "\x01abcd\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abcd",
	} {
		if err := (Content{Type: ContentAck, Body: []byte(body)}).check(); !errors.Is(err, ErrContent) {
			t.Errorf("%s: %v, want ErrContent", name, err)
		}
	}
}

func TestContents(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	at := time.UnixMilli(1_700_000_000_123)
	acks := []Ack{{0, wire.ShortID{1}}, {0, wire.ShortID{1, 3: 1}}, {2, wire.ShortID{}}, {1023, wire.ShortID{0xff, 0xff, 0xff, 0xff}}}
	if got := open(t, b, 0, seal(t, a, AckContent(messageID(3), at, acks))); !cmp.Equal(slices.Collect(got.Content.Acks()), acks) {
		t.Errorf("acks: %v", slices.Collect(got.Content.Acks()))
	}
	want := Position{Sender: 2, Start: 7, Counter: 9}
	if got, ok := open(t, b, 0, seal(t, a, BehindContent(messageID(4), at, want))).Content.Behind(); !ok || got != want {
		t.Errorf("behind: %+v", got)
	}
	session := wire.Prefix{0xa5, 7: 1}
	if got, at, ok := open(t, b, 0, seal(t, a, PreviousContent(messageID(5), at, session, want))).Content.Previous(); !ok || at != want || got != session {
		t.Errorf("previous: %v, %+v", got, at)
	}
	for _, n := range []int{1, 127, 128, 129, 256, 257, 16384, MaxText} {
		frame := seal(t, a, TextContent(messageID(n), at, strings.Repeat("x", n)))
		if len(frame) != wire.FrameOverhead+wire.PlaintextSize(n) || len(frame) > wire.MaxFrame {
			t.Errorf("%d bytes of text: a frame of %d", n, len(frame))
		}
		if got := open(t, b, 0, frame); len(got.Content.Text()) != n || !got.Content.Sent.Equal(at) {
			t.Errorf("%d bytes of text: %d back", n, len(got.Content.Text()))
		}
	}
	for name, c := range map[string]Content{
		"empty":         TextContent(messageID(1), at, ""),
		"too long":      TextContent(messageID(1), at, strings.Repeat("x", MaxText+1)),
		"invalid UTF-8": TextContent(messageID(1), at, "a\xc3"),
		"surrogate":     TextContent(messageID(1), at, "\xed\xa0\x80"),
		"no acks":       AckContent(messageID(1), at, nil),
		"too many acks": AckContent(messageID(1), at, manyAcks(MaxAcks+1)),
		"no type":       {Sent: at},
		"before 1970":   TextContent(messageID(1), time.UnixMilli(-1), "x"),
	} {
		before := a.Next()
		if _, err := a.Seal(nil, c); !errors.Is(err, ErrContent) {
			t.Errorf("%s: %v, want ErrContent", name, err)
		}
		if a.Next() != before {
			t.Errorf("%s: took a counter", name)
		}
	}
}
