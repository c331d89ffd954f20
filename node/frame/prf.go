package frame

import (
	"crypto/sha256"
	"hash"
)

// prf computes HMAC-SHA256 (RFC 2104) and the one-block HKDF-Expand (RFC 5869) in memory that it owns, so that a frame
// costs no allocation for them. crypto/hmac and crypto/hkdf allocate for each key, and here every frame has new keys;
// the tests compare the two.
type prf struct {
	h     hash.Hash
	block [sha256.BlockSize]byte
	sum   [sha256.Size]byte
}

// newPRF returns a prf.
func newPRF() *prf { return &prf{h: sha256.New()} }

// begin starts an HMAC under k; the message is then written to p.h.
func (p *prf) begin(k *key) {
	p.h.Reset()
	p.pad(k, 0x36)
}

// finish ends the HMAC that begin started under the same k, and returns it in memory that the next call overwrites.
func (p *prf) finish(k *key) []byte {
	inner := p.h.Sum(p.sum[:0])
	p.h.Reset()
	p.pad(k, 0x5c)
	p.h.Write(inner)
	return p.h.Sum(p.sum[:0])
}

// pad writes k, filled up with zeros to a block, XOR x.
func (p *prf) pad(k *key, x byte) {
	for i := range k {
		p.block[i] = k[i] ^ x
	}
	for i := len(k); i < len(p.block); i++ {
		p.block[i] = x
	}
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

// clear removes what the last computation left behind.
func (p *prf) clear() {
	p.h.Reset()
	clear(p.block[:])
	clear(p.sum[:])
}
