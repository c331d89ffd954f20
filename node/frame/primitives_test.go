package frame

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// unhex decodes hex with spaces.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestHMACRFC4231 runs the RFC's vectors through the package's own HMAC. A shorter key is padded with zeros, a longer one
// is hashed, which is what HMAC does with them.
func TestHMACRFC4231(t *testing.T) {
	for _, tt := range []struct{ name, key, data, want string }{
		{
			"1", strings.Repeat("0b", 20), "4869205468657265",
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		},
		{
			"2", "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		},
		{
			"3", strings.Repeat("aa", 20), strings.Repeat("dd", 50),
			"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
		},
		{
			"4", "0102030405060708090a0b0c0d0e0f10111213141516171819", strings.Repeat("cd", 50),
			"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
		},
		{
			"6", strings.Repeat("aa", 131), hex.EncodeToString([]byte("Test Using Larger Than Block-Size Key - Hash Key First")),
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
		},
	} {
		raw := unhex(t, tt.key)
		if len(raw) > 64 {
			sum := sha256.Sum256(raw)
			raw = sum[:]
		}
		var k key
		copy(k[:], raw)
		p := newPRF()
		p.begin(&k)
		p.h.Write(unhex(t, tt.data))
		if got := p.finish(&k); !bytes.Equal(got, unhex(t, tt.want)) {
			t.Errorf("case %s: got %x, want %s", tt.name, got, tt.want)
		}
	}
}

// TestHKDFRFC5869 runs the RFC's SHA-256 vectors through the package's own Expand, which gives their first 32 bytes.
func TestHKDFRFC5869(t *testing.T) {
	var long []byte
	for i := 0xb0; i <= 0xff; i++ {
		long = append(long, byte(i))
	}
	for _, tt := range []struct {
		name, prk string
		info      []byte
		want      string
	}{
		{
			"1", "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", unhex(t, "f0f1f2f3f4f5f6f7f8f9"),
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
		},
		{
			"2", "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244", long,
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
		},
		{
			"3", "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04", nil,
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
		},
	} {
		k := key(unhex(t, tt.prk))
		p := newPRF()
		var out key
		p.expand(&out, &k, tt.info, nil)
		if !bytes.Equal(out[:], unhex(t, tt.want)) {
			t.Errorf("case %s, expand: got %x", tt.name, out[:])
		}
		p.load(&k)
		p.expandLoaded(&out, tt.info)
		if !bytes.Equal(out[:], unhex(t, tt.want)) {
			t.Errorf("case %s, expandLoaded: got %x", tt.name, out[:])
		}
	}
}

// TestPRFAgainstStandardLibrary compares with crypto/hmac and crypto/hkdf over many lengths, with one prf that carries
// its state from call to call.
func TestPRFAgainstStandardLibrary(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	p := newPRF()
	for n := range 300 {
		var k key
		data := make([]byte, n)
		_, _ = random.Read(k[:])
		_, _ = random.Read(data)

		mac := hmac.New(sha256.New, k[:])
		mac.Write(data)
		p.begin(&k)
		p.h.Write(data)
		if got := p.finish(&k); !bytes.Equal(got, mac.Sum(nil)) {
			t.Fatalf("HMAC of %d bytes: got %x", n, got)
		}

		want, err := hkdf.Expand(sha256.New, k[:], string(data), 32)
		if err != nil {
			t.Fatal(err)
		}
		var got key
		p.expand(&got, &k, data[:n/2], data[n/2:])
		if !bytes.Equal(got[:], want) {
			t.Fatalf("expand with %d bytes: got %x", n, got[:])
		}
		p.load(&k)
		p.expandLoaded(&got, data)
		if !bytes.Equal(got[:], want) {
			t.Fatalf("expandLoaded with %d bytes: got %x", n, got[:])
		}
		p.expand(&k, &k, data, nil) // in place
		if !bytes.Equal(k[:], want) {
			t.Fatalf("expand in place with %d bytes: got %x", n, k[:])
		}
		p.clear()
	}
}

// TestCTRSP80038A runs NIST SP 800-38A F.5.5, CTR-AES256.Encrypt, and back.
func TestCTRSP80038A(t *testing.T) {
	k := key(unhex(t, "603deb1015ca71be2b73aef0857d7781 1f352c073b6108d72d9810a30914dff4"))
	iv := unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
	plain := unhex(t, `6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
		30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710`)
	sealed := unhex(t, `601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
		2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6`)
	out := make([]byte, len(plain))
	if crypt(t, out, plain, &k, iv); !bytes.Equal(out, sealed) {
		t.Errorf("encrypted: %x", out)
	}
	if crypt(t, out, out, &k, iv); !bytes.Equal(out, plain) {
		t.Errorf("decrypted: %x", out)
	}
	// In pieces, as a frame's plaintext goes through it.
	stream, err := newStream(&k, iv)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range [][2]int{{0, 29}, {29, 50}, {50, 64}} {
		stream.XORKeyStream(out[cut[0]:cut[1]], plain[cut[0]:cut[1]])
	}
	if !bytes.Equal(out, sealed) {
		t.Errorf("encrypted in pieces: %x", out)
	}
}

// TestScratchIsCleared looks for keys in the memory that a computation leaves behind.
func TestScratchIsCleared(t *testing.T) {
	s := testSession(t, 0)
	ck := s.ck
	seal(t, s, text(0))
	if s.ck == ck {
		t.Error("the chain did not move")
	}
	if s.walk.ck != (key{}) || s.walk.keys != (messageKeys{}) {
		t.Error("the walk still holds keys")
	}
	if s.prf.inner != ([digestState]byte{}) || s.prf.outer != ([digestState]byte{}) || s.prf.sum != ([32]byte{}) ||
		s.prf.block != ([64]byte{}) {
		t.Error("the prf still holds its last computation")
	}
	state, err := s.prf.h.AppendBinary(nil)
	if err != nil || !bytes.Equal(state, s.prf.fresh[:]) {
		t.Error("the hash still holds its last message")
	}
	s.Erase()
	if s.ck != (key{}) || s.senders[1].root != (key{}) {
		t.Error("the erased session still holds keys")
	}
}
