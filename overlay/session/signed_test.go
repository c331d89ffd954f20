package session

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"math"
	"testing"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"

	"github.com/libp2p/go-libp2p/core/peer"
)

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func idOf(t *testing.T, b byte) peer.ID {
	t.Helper()
	id, err := wire.PeerIDOf(key(b).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The member's key has the seed 01..01, the relay node's 02..02, the group's ID is 11..11.
const (
	groupHex  = "1111111111111111111111111111111111111111111111111111111111111111"
	memberHex = "0026" + "0024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
	relayHex  = "0026" + "0024080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"
	nonceMHex = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	nonceRHex = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	noneHex   = "0000000000000000000000000000000000000000000000000000000000000000"
	dbHex     = "dbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdb"
	timeHex   = "000001a1ee565e00"
)

// TestSignedBytes holds the layout of SPEC.md section 4.1, part by part, for the three signatures of one handshake.
func TestSignedBytes(t *testing.T) {
	g := &pki.Group{ID: wire.GroupID(bytes.Repeat([]byte{0x11}, 32))}
	h := &handshake{Config: Config{Group: g, Identity: key(1)}}
	m, r := idOf(t, 1), idOf(t, 2)
	nonceM, nonceR := wire.Nonce(bytes.Repeat([]byte{0xaa}, 32)), wire.Nonce(bytes.Repeat([]byte{0xbb}, 32))
	db := wire.DatabaseID(bytes.Repeat([]byte{0xdb}, 16))
	const now = 1_795_000_000_000
	for name, c := range map[string]struct {
		value signed
		want  string
	}{
		"hello": {
			signed{domain: withMember.hello, member: m, relay: r, time: now, nonceM: nonceM},
			hex.EncodeToString([]byte("conclave session hello v1")) + groupHex + memberHex + relayHex + "00000001" + timeHex + nonceMHex + noneHex + noneHex[:32],
		},
		"reply": {
			signed{domain: withMember.reply, member: m, relay: r, time: now, nonceM: nonceM, nonceR: nonceR, database: db},
			hex.EncodeToString([]byte("conclave session reply v1")) + groupHex + memberHex + relayHex + "00000001" + timeHex + nonceMHex + nonceRHex + dbHex,
		},
		"finish": {
			signed{domain: withMember.finish, member: m, relay: r, nonceM: nonceM, nonceR: nonceR, database: db},
			hex.EncodeToString([]byte("conclave session finish v1")) + groupHex + memberHex + relayHex + "00000001" + "0000000000000000" + nonceMHex + nonceRHex + dbHex,
		},
	} {
		if got := hex.EncodeToString(h.bytes(c.value)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
	const signature = "1cae75464584cfb5400ca7d4373b0699a08a7275558c32003ec112dcc0845a48" +
		"a9b7681c90ebce3f22f31a675c4237487b89fc06be646b8bb72a0428ae7c1502"
	if got := hex.EncodeToString(h.sign(signed{domain: withMember.hello, member: m, relay: r, time: now, nonceM: nonceM})); got != signature {
		t.Errorf("signature %s, want %s", got, signature)
	}
}

func TestSkew(t *testing.T) {
	for _, c := range []struct {
		remote, local int64
		want          time.Duration
	}{
		{0, 0, 0},
		{61_000, 0, 61 * time.Second},
		{0, 61_000, -61 * time.Second},
		{math.MaxInt64, math.MinInt64, math.MaxInt64},
		{math.MinInt64, math.MaxInt64, math.MinInt64},
		{math.MaxInt64, 0, math.MaxInt64},
		{math.MinInt64, 0, math.MinInt64},
		{0, math.MinInt64, math.MaxInt64},
		{math.MaxInt64, math.MaxInt64, 0},
		{math.MinInt64, math.MinInt64, 0},
	} {
		if got := skew(c.remote, c.local); got != c.want {
			t.Errorf("skew(%d, %d) = %s, want %s", c.remote, c.local, got, c.want)
		}
	}
}
