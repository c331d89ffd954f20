package baseline

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash"
	"slices"
)

// Overhead is what [Cipher.Seal] adds to a plaintext: an IV of 16 bytes and a MAC of 32.
const Overhead = aes.BlockSize + sha256.Size

// ErrOpen is returned when a sealed text is too short or its MAC is wrong.
var ErrOpen = errors.New("cannot open")

// Cipher is AES-256-CTR and HMAC-SHA256, encrypt-then-MAC, under one key pair for ever, with the key schedule and the
// MAC state reused and a random IV for each text. It is not safe for concurrent use.
type Cipher struct {
	block cipher.Block
	mac   hash.Hash
	sum   [sha256.Size]byte
}

// NewCipher returns a Cipher under a 32-byte AES key and a MAC key.
func NewCipher(aesKey [32]byte, macKey [32]byte) *Cipher {
	block, err := aes.NewCipher(aesKey[:])
	if err != nil {
		panic(err) // only a wrong key length can do this, and the type forbids it
	}
	return &Cipher{block: block, mac: hmac.New(sha256.New, macKey[:])}
}

// Seal appends IV (16) ‖ ciphertext ‖ MAC (32) to dst and returns the longer slice. Where dst has room it allocates
// nothing but the CTR stream.
func (c *Cipher) Seal(dst, plaintext []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, Overhead+len(plaintext))[:start+aes.BlockSize+len(plaintext)]
	iv, body := dst[start:start+aes.BlockSize], dst[start+aes.BlockSize:]
	_, _ = rand.Read(iv) // never fails: it ends the program instead
	cipher.NewCTR(c.block, iv).XORKeyStream(body, plaintext)
	c.mac.Reset()
	c.mac.Write(dst[start:])
	return c.mac.Sum(dst)
}

// Open checks the MAC of what Seal made and appends the plaintext to dst.
func (c *Cipher) Open(dst, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	body, sum := sealed[:len(sealed)-sha256.Size], sealed[len(sealed)-sha256.Size:]
	c.mac.Reset()
	c.mac.Write(body)
	if subtle.ConstantTimeCompare(c.mac.Sum(c.sum[:0]), sum) != 1 {
		return nil, ErrOpen
	}
	iv, text := body[:aes.BlockSize], body[aes.BlockSize:]
	start := len(dst)
	dst = slices.Grow(dst, len(text))[:start+len(text)]
	cipher.NewCTR(c.block, iv).XORKeyStream(dst[start:], text)
	return dst, nil
}
