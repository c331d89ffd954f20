package frame

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"hash"
)

// prf computes HMAC-SHA256 (RFC 2104) and the one-block HKDF-Expand (RFC 5869) in memory that it owns, so that a frame
// costs no allocation for them. crypto/hmac and crypto/hkdf allocate for each key, and here every frame has new keys;
// the tests compare the two.
type prf struct {
	h     digest
	block [sha256.BlockSize]byte
	sum   [sha256.Size]byte
	// What load keeps: the hash states behind the padded key, which FIPS 198-1 section 6 allows to keep and says to
	// treat as the key itself.
	inner, outer [digestState]byte
	fresh        [digestState]byte // of a hash that has seen nothing
}

// digest is a hash whose state can be saved and set; crypto/sha256 documents that its hash is one.
type digest interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// digestState is the length of a saved SHA-256 state in crypto/sha256.
const digestState = 108

// ipad and opad are HMAC's two paddings.
var ipad, opad = padding(0x36), padding(0x5c)

// padding returns a block of x.
func padding(x byte) (b [sha256.BlockSize]byte) {
	for i := range b {
		b[i] = x
	}
	return b
}

// newPRF returns a prf.
func newPRF() *prf {
	p := &prf{h: sha256.New().(digest)}
	p.save(&p.fresh)
	return p
}

// begin starts an HMAC under k; the message is then written to p.h.
func (p *prf) begin(k *key) { p.pad(k, &ipad) }

// finish ends the HMAC that begin started under the same k, and returns it in memory that the next call overwrites.
func (p *prf) finish(k *key) []byte {
	inner := p.h.Sum(p.sum[:0])
	p.pad(k, &opad)
	p.h.Write(inner)
	return p.h.Sum(p.sum[:0])
}

// pad starts the hash with k, filled up with zeros to a block, XOR the padding.
func (p *prf) pad(k *key, padding *[sha256.BlockSize]byte) {
	p.block = *padding
	subtle.XORBytes(p.block[:len(k)], k[:], padding[:len(k)])
	p.h.Reset()
	p.h.Write(p.block[:])
}

// one is the counter byte that ends the first block of HKDF-Expand.
var one = []byte{1}

// expand sets out to HKDF-Expand(k, label ‖ info, 32), which is one HMAC over label ‖ info ‖ 0x01. The out may be k.
func (p *prf) expand(out, k *key, label, info []byte) {
	p.begin(k)
	p.h.Write(label)
	p.h.Write(info)
	p.h.Write(one)
	copy(out[:], p.finish(k))
}

// load prepares for several expansions of k by expandLoaded.
func (p *prf) load(k *key) {
	p.pad(k, &ipad)
	p.save(&p.inner)
	p.pad(k, &opad)
	p.save(&p.outer)
}

// expandLoaded sets out to HKDF-Expand(k, label, 32) for the loaded k.
func (p *prf) expandLoaded(out *key, label []byte) {
	p.set(&p.inner)
	p.h.Write(label)
	p.h.Write(one)
	inner := p.h.Sum(p.sum[:0])
	p.set(&p.outer)
	p.h.Write(inner)
	copy(out[:], p.h.Sum(p.sum[:0]))
}

// save keeps the hash's state.
func (p *prf) save(state *[digestState]byte) {
	out, err := p.h.AppendBinary(state[:0])
	if err != nil || len(out) != len(state) {
		panic("frame: the state of SHA-256 has changed its length")
	}
}

// set puts a kept state back.
func (p *prf) set(state *[digestState]byte) {
	if err := p.h.UnmarshalBinary(state[:]); err != nil {
		panic("frame: SHA-256 refuses its own state")
	}
}

// clear removes what the last computation left behind.
func (p *prf) clear() {
	p.set(&p.fresh) // Reset alone would leave the last message in the hash's buffer
	clear(p.block[:])
	clear(p.sum[:])
	clear(p.inner[:])
	clear(p.outer[:])
}
