package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"
)

// helloGolden is the hello of sessionSamples byte by byte, as SPEC.md section 4.1 shows it.
const helloGolden = "" +
	"7e" + // length of what follows: 126
	"01" + // type: hello
	"08" + "01" + // field 1, varint: protocol version 1
	"12" + "20" + // field 2, 32 bytes: the member's nonce
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
	"18" + "80f8b2e5bd68" + // field 3, zigzag varint: 1,795,000,000,000 ms
	"20" + "07" + // field 4, varint: roster version 7
	"2a" + "04" + "63657274" + // field 5, 4 bytes: the certificate, here "cert"
	"32" + "06" + "726f73746572" + // field 6, 6 bytes: the roster, here "roster"
	"3a" + "40" + // field 7, 64 bytes: the signature
	"5555555555555555555555555555555555555555555555555555555555555555" +
	"5555555555555555555555555555555555555555555555555555555555555555"

func TestHelloGolden(t *testing.T) {
	b, err := AppendMessage(nil, sessionSamples()[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(b); got != helloGolden {
		t.Errorf("got  %s\nwant %s", got, helloGolden)
	}
}

// TestSessionGoldens: what was written on those days is still read, and still written.
func TestSessionGoldens(t *testing.T) {
	var data []byte
	for _, day := range []string{"2026-11-22", "2026-11-25"} { // the later one has what was added since
		of, err := os.ReadFile("testdata/session-" + day + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, of...)
	}
	frozen := make(map[string][]byte)
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		frozen[name] = b
	}
	if len(frozen) != len(codecs) {
		t.Errorf("%d goldens for %d types", len(frozen), len(codecs))
	}
	for _, m := range sessionSamples() {
		want := frozen[m.Type().String()]
		if got, err := read(want); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: read %+v, %v", m.Type(), got, err)
		}
		if got, err := AppendMessage(nil, m); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: wrote %x, %v", m.Type(), got, err)
		}
	}
}

// FuzzReadMessage: no bytes panic; what is read is written and read again the same; what is signed has exactly the
// bytes that were read.
func FuzzReadMessage(f *testing.F) {
	seeds := 0
	for _, m := range sessionSamples() {
		b, err := AppendMessage(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		seeds++
	}
	if seeds != len(codecs) {
		f.Fatalf("%d seeds for %d types", seeds, len(codecs))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := read(data)
		if err != nil {
			return
		}
		again, err := AppendMessage(nil, m)
		if err != nil {
			t.Fatalf("%s was read and cannot be written: %v", m.Type(), err)
		}
		if codecs[m.Type()].signed && !bytes.HasPrefix(data, again) {
			t.Fatalf("%s: read %x, wrote %x", m.Type(), data, again)
		}
		if twice, err := read(again); err != nil || !reflect.DeepEqual(twice, m) {
			t.Fatalf("%s: read %+v, then %+v, %v", m.Type(), m, twice, err)
		}
	})
}
