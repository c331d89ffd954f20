package batch

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conclave/overlay/wire"
)

var update = flag.Bool("update", false, "write the vector file anew")

const topic = "/conclave/1.0.0/test"

// testKey returns the fixed key that begins with b.
func testKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append([]byte{b}, make([]byte, 31)...))
}

// sign signs, or fails the test.
func sign(tb testing.TB, kind wire.BatchKind, items ...[]byte) []byte {
	tb.Helper()
	data, err := Sign(testKey(1), topic, kind, items)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestSignVerify(t *testing.T) {
	items := [][]byte{[]byte("one"), []byte("two")}
	data := sign(t, wire.BatchControl, items...)
	if want := wire.BatchOverhead + 2*(wire.BatchItemOverhead+3); len(data) != want {
		t.Errorf("%d bytes, want %d", len(data), want)
	}
	b, err := Verify(topic, data)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Sender.Equal(testKey(1).Public()) || b.Kind != wire.BatchControl {
		t.Errorf("got %+v", b)
	}
	if diff := cmp.Diff(items, b.Items); diff != "" {
		t.Error(diff)
	}
}

func TestSignRefuses(t *testing.T) {
	if _, err := Sign(testKey(1), topic, wire.BatchControl, nil); !errors.Is(err, wire.ErrBatch) {
		t.Errorf("no items: %v", err)
	}
	if _, err := Sign(testKey(1), topic, wire.BatchControl, [][]byte{make([]byte, wire.MaxBatchItem+1)}); !errors.Is(err, wire.ErrBatch) {
		t.Errorf("a large item: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", 256)} {
		if _, err := Sign(testKey(1), name, wire.BatchControl, [][]byte{{1}}); !errors.Is(err, ErrTopic) {
			t.Errorf("a topic of %d bytes: %v", len(name), err)
		}
	}
	if _, err := Sign(nil, topic, wire.BatchControl, [][]byte{{1}}); err == nil {
		t.Error("signed without a key")
	}
}

// TestEveryBitFlippedIsRefused flips each bit of a batch.
func TestEveryBitFlippedIsRefused(t *testing.T) {
	data := sign(t, wire.BatchFrames, []byte("one"), []byte("two"))
	for i := range len(data) * 8 {
		bad := bytes.Clone(data)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := Verify(topic, bad); !errors.Is(err, ErrForged) {
			t.Fatalf("bit %d of byte %d: %v, want ErrForged", i%8, i/8, err)
		}
		if wire.BatchIDOf(bad) == wire.BatchIDOf(data) {
			t.Fatalf("bit %d of byte %d: the same ID", i%8, i/8)
		}
	}
}

func TestAnotherTopicIsRefused(t *testing.T) {
	data := sign(t, wire.BatchFrames, []byte("one"))
	for _, other := range []string{topic + "x", topic[:len(topic)-1], "", "/conclave/1.0.0/other"} {
		if _, err := Verify(other, data); !errors.Is(err, ErrForged) && !errors.Is(err, ErrTopic) {
			t.Errorf("topic %q: %v", other, err)
		}
	}
}

// TestAForgedCopyDoesNotSuppressTheRealBatch plays a router that forgets nothing: it marks each ID before it looks at the
// batch, as gossipsub does. The control marks a shorter ID, by which a forged copy does suppress the real batch.
func TestAForgedCopyDoesNotSuppressTheRealBatch(t *testing.T) {
	real := sign(t, wire.BatchFrames, []byte("one"))
	forged := bytes.Clone(real)
	forged[len(forged)-1] ^= 1 // same content, another signature

	arrives := func(id func([]byte) string) bool {
		seen := map[string]bool{}
		delivered := false
		for _, data := range [][]byte{forged, real} {
			name := id(data)
			if seen[name] {
				continue
			}
			seen[name] = true
			if _, err := Verify(topic, data); err == nil {
				delivered = true
			}
		}
		return delivered
	}
	if !arrives(func(b []byte) string { id := wire.BatchIDOf(b); return string(id[:]) }) {
		t.Error("a forged copy that came first suppressed the real batch")
	}
	if arrives(func(b []byte) string { return string(b[:len(b)-ed25519.SignatureSize]) }) {
		t.Error("the control did not show the attack")
	}
}

// vector is one entry of testdata/vectors.json.
type vector struct {
	Name   string   `json:"name"`
	Topic  string   `json:"topic"`
	Batch  string   `json:"batch"`
	Expect string   `json:"expect"` // "ok", "malformed" (does not parse) or "forged" (parses, does not verify)
	Kind   int      `json:"kind,omitempty"`
	Sender string   `json:"sender,omitempty"`
	Items  []string `json:"items,omitempty"`
	ID     string   `json:"id"`
}

const vectorFile = "testdata/vectors.json"

// TestVectors runs the vector file, which another implementation can run too.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	classes := map[string]int{}
	for _, v := range vectors {
		classes[v.Expect]++
		data, err := hex.DecodeString(v.Batch)
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(v.Name, v.Topic, data); !cmp.Equal(v, got) {
			t.Errorf("%s: %s", v.Name, cmp.Diff(v, got))
		}
	}
	if classes["ok"] == 0 || classes["malformed"] == 0 || classes["forged"] == 0 {
		t.Errorf("the file lacks a class: %v", classes)
	}
}

// describe says what a batch is.
func describe(name, topic string, data []byte) vector {
	id := wire.BatchIDOf(data)
	v := vector{Name: name, Topic: topic, Batch: hex.EncodeToString(data), ID: id.String(), Expect: "malformed"}
	if _, err := wire.ParseBatch(data); err != nil {
		return v
	}
	b, err := Verify(topic, data)
	if err != nil {
		v.Expect = "forged"
		return v
	}
	v.Expect, v.Kind, v.Sender = "ok", int(b.Kind), hex.EncodeToString(b.Sender)
	for _, item := range b.Items {
		v.Items = append(v.Items, hex.EncodeToString(item))
	}
	return v
}

// writeVectors writes the vector file anew.
func writeVectors(t *testing.T) {
	one := sign(t, wire.BatchFrames, []byte("one"))
	edit := func(f func(b []byte)) []byte { b := bytes.Clone(one); f(b); return b }
	other, err := Sign(testKey(2), topic, wire.BatchFrames, [][]byte{[]byte("one")})
	if err != nil {
		t.Fatal(err)
	}
	order := sign(t, wire.BatchControl, []byte("first"), []byte("second"), []byte{0})
	// L, the order of Ed25519's group, added to the signature's S: verifies where S is not checked to be below L.
	malleable := edit(func(b []byte) { addOrder(b[len(b)-32:]) })
	vectors := []vector{
		describe("one frame", topic, one),
		describe("three control items", topic, order),
		describe("another signer", topic, other),
		describe("another topic", topic+"2", one),
		describe("topic cut short", topic[:len(topic)-1], one),
		describe("item changed", topic, edit(func(b []byte) { b[40] ^= 1 })),
		describe("kind changed", topic, edit(func(b []byte) { b[1] = 2 })),
		describe("sender changed", topic, edit(func(b []byte) { copy(b[2:34], other[2:34]) })),
		describe("signature changed", topic, edit(func(b []byte) { b[len(b)-64] ^= 1 })),
		describe("signature's S not below the group order", topic, malleable),
		describe("version 2", topic, edit(func(b []byte) { b[0] = 2 })),
		describe("unknown kind", topic, edit(func(b []byte) { b[1] = 9 })),
		describe("no items", topic, edit(func(b []byte) { b[35] = 0 })),
		describe("item longer than the batch", topic, edit(func(b []byte) { b[39] = 200 })),
		describe("byte after the signature", topic, append(bytes.Clone(one), 0)),
		describe("empty", topic, nil),
	}
	out, err := json.MarshalIndent(vectors, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(out, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// addOrder adds the order of Ed25519's group, little-endian, to 32 bytes.
func addOrder(s []byte) {
	order, _ := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	carry := 0
	for i := range s {
		sum := int(s[i]) + int(order[i]) + carry
		s[i], carry = byte(sum), sum>>8
	}
}

// FuzzVerify feeds anything: nothing but the signed batch verifies, and no input panics.
func FuzzVerify(f *testing.F) {
	data := sign(f, wire.BatchFrames, []byte("one"))
	f.Add(data)
	f.Add(data[:50])
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := Verify(topic, in)
		if err != nil {
			if !errors.Is(err, ErrForged) {
				t.Fatalf("%v is not ErrForged", err)
			}
			return
		}
		if out, err := b.Marshal(); err != nil || !bytes.Equal(out, in) {
			t.Fatalf("%x marshals to %x", in, out)
		}
	})
}

// BenchmarkBatch measures signing and verifying batches of n frames with 256 bytes of text.
func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		items := make([][]byte, n)
		for i := range items {
			items[i] = make([]byte, wire.FrameOverhead+wire.PlaintextSize(256))
		}
		data := sign(b, wire.BatchFrames, items...)
		name := map[int]string{1: "1", 16: "16", 256: "256"}[n]
		b.Run("sign/"+name, func(b *testing.B) {
			for b.Loop() {
				_, _ = Sign(testKey1, topic, wire.BatchFrames, items)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/frame")
		})
		b.Run("verify/"+name, func(b *testing.B) {
			for b.Loop() {
				_, _ = Verify(topic, data)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/frame")
		})
	}
}

var testKey1 = testKey(1)

// TestFrames takes of what was fetched only batches of frames that verify.
func TestFrames(t *testing.T) {
	t.Parallel()
	kinds := map[string]wire.BatchKind{"a": wire.BatchFrames, "b": wire.BatchControl, "d": wire.BatchFrames}
	got := Frames([][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d")}, func(data []byte) (wire.Batch, bool) {
		kind, ok := kinds[string(data)]
		return wire.Batch{Kind: kind, Items: [][]byte{data}}, ok
	})
	if len(got) != 2 || string(got[0].Items[0]) != "a" || string(got[1].Items[0]) != "d" {
		t.Errorf("took %v", got)
	}
}
