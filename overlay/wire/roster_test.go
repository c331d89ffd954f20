package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// rosterGolden is a roster's payload, byte by byte (SPEC.md section 2.4). Frozen on 2026-11-22.
var rosterGolden = []struct{ hex, what string }{
	{"0a20", "field 1, 32 bytes: group"},
	{strings.Repeat("11", 32), "the group ID"},
	{"1002", "field 2: version 2"},
	{"188092f4bf06", "field 3: issued 1744636160"},
	{"208092f5bf06", "field 4: expires 1744652544"},
	{"2a05", "field 5, 5 bytes: a member"},
	{"0a03aabbcc", "  field 1, 3 bytes: its certificate"},
	{"2a04", "field 5, 4 bytes: another member"},
	{"0a02dddd", "  field 1, 2 bytes: its certificate"},
	{"320b", "field 6, 11 bytes: a relay node"},
	{"0a01ee", "  field 1, 1 byte: its certificate"},
	{"1203010203", "  field 2, 3 bytes: an address"},
	{"120104", "  field 2, 1 byte: another address"},
}

func goldenRoster() *Roster {
	r := &Roster{
		Version: 2, Issued: 1744636160, Expires: 1744652544,
		Members: []RosterMember{{Certificate: []byte{0xaa, 0xbb, 0xcc}}, {Certificate: []byte{0xdd, 0xdd}}},
		Relays:  []RosterRelay{{Certificate: []byte{0xee}, Addrs: [][]byte{{1, 2, 3}, {4}}}},
	}
	copy(r.Group[:], bytes.Repeat([]byte{0x11}, 32))
	return r
}

func goldenPayload(t testing.TB) []byte {
	t.Helper()
	var all strings.Builder
	for _, part := range rosterGolden {
		all.WriteString(part.hex)
	}
	payload, err := hex.DecodeString(all.String())
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestRosterGolden(t *testing.T) {
	t.Parallel()
	got, err := goldenRoster().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	rest := hex.EncodeToString(got)
	for _, part := range rosterGolden {
		if !strings.HasPrefix(rest, part.hex) {
			t.Fatalf("%s: got %.20s..., want %s", part.what, rest, part.hex)
		}
		rest = rest[len(part.hex):]
	}
	if rest != "" {
		t.Errorf("more bytes: %s", rest)
	}
	r, err := UnmarshalRoster(goldenPayload(t))
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Marshal()
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("it does not come back: %x %v", again, err)
	}
}

func TestRosterRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *Roster){
		"version 0":          func(r *Roster) { r.Version = 0 },
		"negative date":      func(r *Roster) { r.Issued = -1 },
		"dates out of order": func(r *Roster) { r.Expires = r.Issued },
		"after year 9999":    func(r *Roster) { r.Expires = maxUnix + 1 },
		"no certificate":     func(r *Roster) { r.Members[0].Certificate = nil },
		"large certificate":  func(r *Roster) { r.Relays[0].Certificate = make([]byte, MaxCertificate+1) },
		"many members":       func(r *Roster) { r.Members = make([]RosterMember, MaxMembers+1) },
		"many relay nodes":   func(r *Roster) { r.Relays = make([]RosterRelay, MaxRelays+1) },
		"many addresses":     func(r *Roster) { r.Relays[0].Addrs = make([][]byte, MaxRelayAddrs+1) },
		"empty address":      func(r *Roster) { r.Relays[0].Addrs[0] = nil },
		"large address":      func(r *Roster) { r.Relays[0].Addrs[0] = make([]byte, MaxAddr+1) },
	} {
		r := goldenRoster()
		change(r)
		if _, err := r.Marshal(); !errors.Is(err, ErrRoster) {
			t.Errorf("%s: got %v, want %v", name, err, ErrRoster)
		}
	}
}

func TestRosterBytesRefused(t *testing.T) {
	t.Parallel()
	good := goldenPayload(t)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, payload := range map[string][]byte{
		"empty":                  {},
		"truncated":              good[:len(good)-1],
		"unknown field":          join(good, []byte{0x38, 0x01}),
		"unknown in a member":    join(good[:48], []byte{0x2a, 0x05, 0x0a, 0x01, 0xaa, 0x10, 0x01}),
		"short group ID":         join([]byte{0x0a, 0x1f}, good[3:]),
		"fields in other order":  join(good[34:36], good[:34], good[36:]),
		"version twice":          join(good[:36], good[34:36], good[36:]),
		"version in three bytes": join(good[:34], []byte{0x10, 0x82, 0x00}, good[36:]),
		"too large":              make([]byte, MaxRosterEnvelope+1),
	} {
		if _, err := UnmarshalRoster(payload); !errors.Is(err, ErrRoster) {
			t.Errorf("%s: got %v, want %v", name, err, ErrRoster)
		}
	}
}

// FuzzRoster: what parses marshals to the same bytes again, so no payload has two spellings.
func FuzzRoster(f *testing.F) {
	f.Add(goldenPayload(f))
	f.Add(append(goldenPayload(f), 0x38, 0x01))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := UnmarshalRoster(payload)
		if err != nil {
			if !errors.Is(err, ErrRoster) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		if again, err := r.Marshal(); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%x came back as %x, %v", payload, again, err)
		}
	})
}
