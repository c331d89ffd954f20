package keyagreement

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"conclave/node/keyagreement/envelope"
	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

func vectorKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("testdata/oaep-rsa3072.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// TestOAEPVectors opens ciphertexts that another implementation made.
func TestOAEPVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/oaep-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Label, Plaintext string
		Vectors          []struct{ Name, Ciphertext, Expect string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	label, err := hex.DecodeString(file.Label)
	if err != nil {
		t.Fatal(err)
	}
	parcel := event.Parcel{Epoch: same32(3), Of: "A", To: "B"}
	if got := shareLabel(same32(1), same32(2), parcel); string(got) != string(label) {
		t.Fatalf("label %x, want %x", got, label)
	}
	key := vectorKey(t)
	valid := 0
	for _, v := range file.Vectors {
		ciphertext, err := hex.DecodeString(v.Ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		got := envelope.Open(key, event.Unwrap{Token: 5, Ciphertext: ciphertext, Label: label})
		if got.OK != (v.Expect == "valid") || got.Token != 5 {
			t.Errorf("%s: opened %v, want %s", v.Name, got.OK, v.Expect)
		}
		if got.OK {
			valid++
			if hex.EncodeToString(got.Plaintext.Bytes()) != file.Plaintext {
				t.Errorf("%s: another plaintext", v.Name)
			}
		} else if got.Plaintext != (share.Share{}) {
			t.Errorf("%s: a failure gives plaintext", v.Name)
		}
	}
	if valid == 0 || valid == len(file.Vectors) {
		t.Fatalf("%d of %d vectors are valid", valid, len(file.Vectors))
	}
}

func same32(b byte) (out [32]byte) {
	for i := range out {
		out[i] = b
	}
	return out
}

// TestEnvelopeLabel: what is sealed opens under its own label only, whichever part of it differs.
func TestEnvelopeLabel(t *testing.T) {
	t.Parallel()
	key := vectorKey(t)
	p := event.Parcel{Epoch: same32(3), Of: "A", To: "B"}
	w := event.Wrap{Parcel: p, Label: shareLabel(same32(1), same32(2), p), Opening: []byte{1}, Announcement: []byte{2}, Group: same32(1)}
	w.Plaintext, _ = share.Draw(rand.Reader)
	raw, err := envelope.Seal(rand.Reader, &key.PublicKey, same32(9), func([]byte) []byte { return make([]byte, 64) }, w)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.UnmarshalSigned(raw)
	if err != nil {
		t.Fatal(err)
	}
	e, err := wire.UnmarshalEnvelope(s.Payload)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]byte{
		"own": w.Label, "group": shareLabel(same32(9), same32(2), p), "roster": shareLabel(same32(1), same32(9), p),
		"epoch": shareLabel(same32(1), same32(2), event.Parcel{Epoch: same32(9), Of: "A", To: "B"}), "contributor": shareLabel(same32(1), same32(2), event.Parcel{Epoch: same32(3), Of: "C", To: "B"}),
		"recipient": shareLabel(same32(1), same32(2), event.Parcel{Epoch: same32(3), Of: "A", To: "C"}), "none": nil,
	}
	for name, label := range labels {
		if got := envelope.Open(key, event.Unwrap{Ciphertext: e.Ciphertext, Label: label}); got.OK != (name == "own") {
			t.Errorf("label %s: opened %v", name, got.OK)
		}
	}
}

// TestKeySizes: RSA keys outside 3072 to 4096 bits are refused before any arithmetic.
func TestKeySizes(t *testing.T) {
	t.Parallel()
	key := vectorKey(t)
	for _, bits := range []uint{2048, 3071, 4097, 16384} {
		odd := *key
		odd.N = new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), bits-1), 0, 1)
		if _, err := envelope.Seal(rand.Reader, &odd.PublicKey, [32]byte{}, nil, event.Wrap{}); !errors.Is(err, share.ErrKeySize) {
			t.Errorf("%d bits: %v, want share.ErrKeySize", bits, err)
		}
		if envelope.Open(&odd, event.Unwrap{Ciphertext: []byte{1}}).OK {
			t.Errorf("%d bits: opened", bits)
		}
	}
}

// TestSecretsDoNotPrint: no verb, logger or encoder gets a secret out.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s, drawn := share.SecretOf(same32(0xab)), share.Of([64]byte(bytes.Repeat([]byte{0xab}, 64)))
	session := event.Session{PRK: s, Key: s, Fingerprint: "f"}
	values := []any{s, &s, drawn, session, &session, event.Wrap{Plaintext: drawn}, event.Unwrapped{Plaintext: drawn}, event.Completed{Session: session}, event.Persist{Key: "part/1", Value: drawn.Bytes()}}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%s", "%x", "%q", "%d"} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "abab") || strings.Contains(text, "171 171") || strings.Contains(text, "\xab") {
				t.Errorf("%T with %s prints %q", v, verb, text)
			}
		}
	}
	for _, v := range []any{s, drawn, session} {
		if _, err := json.Marshal(v); err == nil {
			t.Errorf("%T marshals", v)
		}
	}
}

// shareLabel returns the label of a parcel.
func shareLabel(group wire.GroupID, roster wire.RosterHash, p event.Parcel) []byte {
	return share.Label(group, roster, p.Epoch, p.Of, p.To)
}
