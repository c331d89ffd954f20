package keyagreement

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"conclave/node/keyagreement/event"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

var updateVectors = flag.Bool("update-vectors", false, "write the derivation vector")

// derivation is a whole key derivation, hex throughout, for another implementation to run.
type derivation struct {
	Comment       string
	Group         string
	Identities    map[string]string
	Shares        map[string]string // s ‖ blind
	Opening       string
	Epoch         string
	Announcements map[string]string
	Commitments   map[string]string
	Label         string // of A's share to B
	Transcript    string
	Kabc          string
	PRK           string
	ConfirmKey    string
	MAC           map[string]string
	Fingerprint   string
}

// makeDerivation computes it from fixed values.
func makeDerivation() derivation {
	group := wire.GroupID(same32(0x11))
	o := wire.Opening{
		Group: group, RosterVersion: 1, RosterHash: same32(0x22), Number: 1_800_000_000_000, Opener: "A",
		Contributors: []wire.Contributor{{Role: "A", Instance: wire.Instance{0xa1}}, {Role: "B", Instance: wire.Instance{0xb1}}},
		Nonce:        [16]byte{0x33},
	}
	payload := o.Marshal()
	id := wire.EpochID(sha256.Sum256(payload))
	d := derivation{
		Comment: "frozen 2026-11-22", Group: group.String(), Identities: map[string]string{}, Shares: map[string]string{},
		Opening: hex.EncodeToString(payload), Epoch: id.String(), Announcements: map[string]string{}, Commitments: map[string]string{},
		Label: hex.EncodeToString(shareLabel(group, o.RosterHash, event.Parcel{Epoch: id, Of: "A", To: "B"})), MAC: map[string]string{},
	}
	var members []Member
	var parts []part
	for i, c := range o.Contributors {
		m := Member{Role: c.Role, Identity: same32(byte(0xc0 + i))}
		var bytes [64]byte
		for j := range bytes {
			bytes[j] = byte(64*i + j)
		}
		s := share.Of(bytes)
		a := wire.Announcement{Group: group, RosterVersion: 1, Epoch: id, Role: c.Role, Instance: c.Instance, Commitment: share.Commitment(id, c.Role, s)}
		members, parts = append(members, m), append(parts, part{ann: a, share: s})
		role := string(c.Role)
		d.Identities[role], d.Shares[role] = hex.EncodeToString(m.Identity[:]), hex.EncodeToString(s.Bytes())
		d.Announcements[role], d.Commitments[role] = hex.EncodeToString(a.Marshal()), hex.EncodeToString(a.Commitment[:])
	}
	t, kabc, prk := derive(payload, members, parts)
	confirm := share.ConfirmKey(prk)
	d.Transcript, d.Kabc, d.PRK, d.ConfirmKey = t.String(), hex.EncodeToString(kabc.Bytes()), hex.EncodeToString(prk.Bytes()), hex.EncodeToString(confirm.Bytes())
	for _, c := range o.Contributors {
		mac := share.ConfirmMAC(confirm, t, c.Role)
		d.MAC[string(c.Role)] = hex.EncodeToString(mac[:])
	}
	d.Fingerprint = share.Fingerprint(prk)
	return d
}

// TestDerivationVector compares the derivation with its frozen vector, byte for byte.
func TestDerivationVector(t *testing.T) {
	t.Parallel()
	const path = "testdata/derivation.json"
	got, err := json.MarshalIndent(makeDerivation(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *updateVectors {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the derivation differs from %s:\n%s", path, got)
	}
}
