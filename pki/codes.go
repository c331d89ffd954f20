package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"conclave/overlay/wire"
)

// codeGroups is how many groups of five digits a code has: 8 groups are 132 bits, so that nobody finds two keys with one code.
const codeGroups = 8

const (
	labelGroupCode = "conclave group code v1"
	labelPairCode  = "conclave pair code v1"
)

// GroupCode returns 40 digits that two people compare to know that they are in the same group. It depends on the CA key
// alone, so one comparison covers every member and every renewal.
func GroupCode(g *Group) string { return code(labelGroupCode, g.ID[:]) }

// PairCode returns 40 digits that two members compare to know that each has the other's true keys. It depends on the
// group, both peer IDs and both RSA keys; both get the same digits, and no epoch changes them.
func PairCode(group wire.GroupID, a, b *Certificate) string {
	keys := []string{pairKeys(a), pairKeys(b)}
	slices.Sort(keys)
	return code(labelPairCode, group[:], []byte(keys[0]), []byte(keys[1]))
}

// pairKeys is a member's peer ID (fixed length for Ed25519) and RSA key, in DER.
func pairKeys(c *Certificate) string {
	var der []byte
	if c.RSA != nil {
		der, _ = x509.MarshalPKIXPublicKey(c.RSA) // cannot fail for an RSA key
	}
	return string(c.Peer) + string(der)
}

// code hashes its length-prefixed parts and writes the digest as groups of digits.
func code(label string, parts ...[]byte) string {
	h := sha256.New()
	for _, part := range append([][]byte{[]byte(label)}, parts...) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	// 32 bytes of digest give 6 groups of 5 bytes; a second block gives the rest. Five bytes modulo 100,000 are biased by
	// less than one in ten million.
	digest := h.Sum(nil)
	second := sha256.Sum256(digest)
	bytes := append(digest[:30:30], second[:]...)
	groups := make([]string, codeGroups)
	for i := range groups {
		five := append([]byte{0, 0, 0}, bytes[5*i:5*i+5]...)
		groups[i] = fmt.Sprintf("%05d", binary.BigEndian.Uint64(five)%100000)
	}
	return strings.Join(groups, " ")
}
