package share_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"testing"

	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

func same32(b byte) (out [32]byte) {
	for i := range out {
		out[i] = b
	}
	return out
}

// TestLastSenderForcesXOR: whoever sends last without commitments can force Kabc to any value. It gains nothing, because
// the keys come from the single shares too. In the control, where they come from Kabc alone, the forced key is the one
// that everybody uses, in every epoch.
func TestLastSenderForcesXOR(t *testing.T) {
	t.Parallel()
	forced := same32(0x5a)
	derive := func(seed byte) (share.Secret, share.Secret, share.Secret) {
		first, second, last := [64]byte{seed}, [64]byte{seed + 1}, [64]byte{}
		for i := range forced { // the last share: what is missing to the value wanted
			last[i] = forced[i] ^ first[i] ^ second[i]
		}
		t := wire.Transcript(same32(7))
		kabc, prk := share.Derive(t, []share.Share{share.Of(first), share.Of(second), share.Of(last)})
		weak, _ := hkdf.Extract(sha256.New, kabc.Bytes(), t[:])
		return kabc, prk, share.SecretOf([32]byte(weak))
	}
	k1, prk1, weak1 := derive(1)
	k2, prk2, weak2 := derive(100)
	if !k1.Equal(share.SecretOf(forced)) || !k2.Equal(share.SecretOf(forced)) {
		t.Fatal("the XOR was not forced")
	}
	if prk1.Equal(prk2) {
		t.Error("forcing the XOR forces the key")
	}
	if !weak1.Equal(weak2) {
		t.Error("the control does not show the attack")
	}
}

// TestCommitmentBindsShare: a last sender cannot even choose, because its share is fixed before it sees another.
func TestCommitmentBindsShare(t *testing.T) {
	t.Parallel()
	var s share.Share
	c := share.Commitment(same32(1), "A", s)
	for name, other := range map[string][32]byte{
		"epoch": share.Commitment(same32(2), "A", s), "role": share.Commitment(same32(1), "B", s),
		"share": share.Commitment(same32(1), "A", share.Of([64]byte{1})), "blind": share.Commitment(same32(1), "A", share.Of([64]byte{63: 1})),
	} {
		if c == other {
			t.Errorf("the commitment does not bind the %s", name)
		}
	}
}
