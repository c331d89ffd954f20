package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

var updateAgreement = flag.Bool("update-agreement", false, "write the golden files of key agreement messages")

func repeat[T ~[32]byte | ~[16]byte | ~[64]byte](b byte) (out T) {
	switch v := any(&out).(type) {
	case *[32]byte:
		for i := range v {
			v[i] = b
		}
	case *[16]byte:
		for i := range v {
			v[i] = b
		}
	case *[64]byte:
		for i := range v {
			v[i] = b
		}
	}
	return out
}

// agreementSamples is one message of each type, every field with a byte of its own.
func agreementSamples() map[string]interface{ Marshal() []byte } {
	g := GroupID(repeat[[32]byte](0x11))
	opening := Opening{
		Group: g, RosterVersion: 3, RosterHash: repeat[[32]byte](0x22), Number: 1_800_000_000_123, Opener: "A",
		Contributors: []Contributor{{"A", repeat[[16]byte](0xa1)}, {"B", repeat[[16]byte](0xb1)}}, Nonce: repeat[[16]byte](0x33),
	}
	announcement := Announcement{g, 3, repeat[[32]byte](0x44), "A", repeat[[16]byte](0xa1), repeat[[32]byte](0x55)}
	signed := func(t SignedType, payload []byte) Signed {
		return Signed{t, repeat[[32]byte](0x66), payload, repeat[[64]byte](0x77)}
	}
	return map[string]interface{ Marshal() []byte }{
		"request": Request{g, 3, repeat[[32]byte](0x22), "A", repeat[[16]byte](0xa1), 1_800_000_000_000, true, 7},
		"opening": opening, "announcement": announcement,
		"confirmation": Confirmation{
			g, repeat[[32]byte](0x44), "B", repeat[[32]byte](0x88), [][32]byte{repeat[[32]byte](0x99), repeat[[32]byte](0x9a)}, repeat[[32]byte](0xcc),
		},
		"lack":     Lack{g, repeat[[32]byte](0x44), "B", []Role{"A", "C"}, 2},
		"behind":   Behind{g, repeat[[32]byte](0x88), "B", 9},
		"signed":   signed(SignedLack, []byte{1, 2, 3}),
		"envelope": Envelope{g, SuiteOAEP, signed(SignedOpening, opening.Marshal()).Marshal(), signed(SignedAnnouncement, announcement.Marshal()).Marshal(), "B", bytes.Repeat([]byte{0xee}, 384)},
	}
}

// unmarshalAgreement parses b as the named message.
func unmarshalAgreement(name string, b []byte) (interface{ Marshal() []byte }, error) {
	switch name {
	case "request":
		return box(UnmarshalRequest(b))
	case "opening":
		return box(UnmarshalOpening(b))
	case "announcement":
		return box(UnmarshalAnnouncement(b))
	case "confirmation":
		return box(UnmarshalConfirmation(b))
	case "lack":
		return box(UnmarshalLack(b))
	case "behind":
		return box(UnmarshalBehind(b))
	case "envelope":
		return box(UnmarshalEnvelope(b))
	}
	return box(UnmarshalSigned(b))
}

func box[T interface{ Marshal() []byte }](m T, err error) (interface{ Marshal() []byte }, error) {
	return m, err
}

// annotate writes a message field by field: number, name of the wire type, length and bytes.
func annotate(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		tag := b[:n]
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			fmt.Fprintf(&out, "%x %x  # field %d = %d\n", tag, b[:n], num, v)
			b = b[n:]
		default:
			v, n := protowire.ConsumeBytes(b)
			fmt.Fprintf(&out, "%x %x %x  # field %d, %d bytes\n", tag, b[:n-len(v)], v, num, len(v))
			b = b[n:]
		}
	}
	return out.String()
}

// TestAgreementGolden compares every message with its frozen bytes (testdata/agreement, frozen 2026-11-22).
func TestAgreementGolden(t *testing.T) {
	t.Parallel()
	for name, m := range agreementSamples() {
		path := filepath.Join("testdata", "agreement", name+".txt")
		if *updateAgreement {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(annotate(m.Marshal())), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var golden []byte
		for line := range strings.Lines(string(text)) {
			code, _, _ := strings.Cut(line, "#")
			b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(code), " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			golden = append(golden, b...)
		}
		if !bytes.Equal(golden, m.Marshal()) {
			t.Errorf("%s: bytes differ from %s:\n%s", name, path, annotate(m.Marshal()))
		}
		back, err := unmarshalAgreement(name, golden)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(m, back); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestAgreementOneForm: every change of bytes that keeps the meaning is refused.
func TestAgreementOneForm(t *testing.T) {
	t.Parallel()
	for name, m := range agreementSamples() {
		good := m.Marshal()
		unknown := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(good), 90, protowire.VarintType), 1)
		_, _, n := protowire.ConsumeField(good)
		swapped := append(bytes.Clone(good[n:]), good[:n]...)
		for what, b := range map[string][]byte{
			"unknown field": unknown, "twice": append(bytes.Clone(good), good...), "fields swapped": swapped, "cut": good[:len(good)-1],
			"empty": nil, "too long": append(bytes.Clone(good), make([]byte, MaxSigned)...),
		} {
			if _, err := unmarshalAgreement(name, b); !errors.Is(err, ErrAgreement) {
				t.Errorf("%s, %s: %v, want ErrAgreement", name, what, err)
			}
		}
	}
}

// TestOpeningContributors: role order, each once, the opener among them.
func TestOpeningContributors(t *testing.T) {
	t.Parallel()
	base := agreementSamples()["opening"].(Opening)
	a, b, c := Contributor{Role: "A"}, Contributor{Role: "B"}, Contributor{Role: "C"}
	many := make([]Contributor, MaxContributors+1)
	for i := range many {
		many[i].Role = Role(fmt.Sprintf("A%03d", i))
	}
	for what, s := range map[string][]Contributor{
		"none": nil, "opener missing": {b, c}, "not in order": {b, a}, "twice": {a, a}, "bad role": {a, {Role: "-"}}, "too many": many,
	} {
		m := base
		m.Contributors = s
		if what == "too many" {
			m.Opener = "A000"
		}
		if _, err := UnmarshalOpening(m.Marshal()); !errors.Is(err, ErrAgreement) {
			t.Errorf("%s: %v, want ErrAgreement", what, err)
		}
	}
}

// TestEnvelopeFits: the largest opening, two signatures and an RSA-4096 ciphertext stay under the cap.
func TestEnvelopeFits(t *testing.T) {
	t.Parallel()
	o := agreementSamples()["opening"].(Opening)
	o.Contributors = nil
	for i := range MaxContributors {
		o.Contributors = append(o.Contributors, Contributor{Role: Role(fmt.Sprintf("member-with-a-long-name-%08d", i))})
	}
	o.Opener = o.Contributors[0].Role
	e := agreementSamples()["envelope"].(Envelope)
	e.Opening = Signed{Type: SignedOpening, Payload: o.Marshal()}.Marshal()
	e.To, e.Ciphertext = o.Contributors[1].Role, make([]byte, MaxCiphertext)
	b := Signed{Type: SignedEnvelope, Payload: e.Marshal()}.Marshal()
	if len(b) > MaxSigned {
		t.Errorf("the largest envelope has %d bytes, more than %d", len(b), MaxSigned)
	}
}

// TestSignedBytes: group, type and length are all under the signature.
func TestSignedBytes(t *testing.T) {
	t.Parallel()
	want := "636f6e636c617665207369676e6564207631" + strings.Repeat("11", 32) + "00000002" + "00000003" + "010203"
	if got := hex.EncodeToString(SignedBytes(repeat[[32]byte](0x11), SignedOpening, []byte{1, 2, 3})); got != want {
		t.Errorf("signed bytes %s, want %s", got, want)
	}
}

// FuzzAgreement: what parses marshals to the same bytes again, as every type.
func FuzzAgreement(f *testing.F) {
	names := []string{"signed", "request", "opening", "announcement", "confirmation", "lack", "behind", "envelope"}
	samples := agreementSamples()
	if len(samples) != len(names) {
		f.Fatal("the seed corpus lacks a type")
	}
	for i, name := range names {
		f.Add(byte(i), samples[name].Marshal())
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		name := names[int(kind)%len(names)]
		m, err := unmarshalAgreement(name, b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Marshal(), b) {
			t.Fatalf("%s: %x parses and marshals to %x", name, b, m.Marshal())
		}
	})
}
