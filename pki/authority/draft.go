package authority

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"

	"conclave/overlay/wire"
	"conclave/pki"
)

// ErrNobody is returned when a draft has no member or relay node of that name.
var ErrNobody = errors.New("nobody of that name is in the roster")

// Draft is a roster that is being changed and is not yet signed.
type Draft struct {
	Members []*pki.Certificate
	Relays  []pki.Relay
}

// DraftOf returns a draft with everybody who is in the roster. A nil roster gives an empty draft.
func DraftOf(r *pki.Roster) *Draft {
	d := &Draft{}
	if r == nil {
		return d
	}
	for _, m := range r.Members {
		d.Members = append(d.Members, m.Certificate)
	}
	d.Relays = slices.Clone(r.Relays)
	return d
}

// SetMember adds a member, or replaces the one with the same role.
func (d *Draft) SetMember(c *pki.Certificate) {
	d.Members = slices.DeleteFunc(d.Members, func(m *pki.Certificate) bool { return SameName(m.Role, c.Role) })
	d.Members = append(d.Members, c)
}

// SetRelay adds a relay node with its addresses, or replaces the one with the same name.
func (d *Draft) SetRelay(c *pki.Certificate, addrs []ma.Multiaddr) {
	d.Relays = slices.DeleteFunc(d.Relays, func(m pki.Relay) bool { return SameName(m.Role, c.Role) })
	d.Relays = append(d.Relays, pki.Relay{Certificate: c, Addrs: addrs})
}

// RemoveMember takes a member out, or returns ErrNobody. Once signed, this is what revokes the member's certificate.
func (d *Draft) RemoveMember(role wire.Role) error {
	n := len(d.Members)
	d.Members = slices.DeleteFunc(d.Members, func(m *pki.Certificate) bool { return m.Role == role })
	if len(d.Members) == n {
		return fmt.Errorf("%w: member %q", ErrNobody, role)
	}
	return nil
}

// RemoveRelay takes a relay node out, or returns ErrNobody.
func (d *Draft) RemoveRelay(name wire.Role) error {
	n := len(d.Relays)
	d.Relays = slices.DeleteFunc(d.Relays, func(m pki.Relay) bool { return m.Role == name })
	if len(d.Relays) == n {
		return fmt.Errorf("%w: relay node %q", ErrNobody, name)
	}
	return nil
}

// SameName compares names as a roster does: no two of them may differ by case alone.
func SameName(a, b wire.Role) bool { return strings.EqualFold(string(a), string(b)) }

// Sign signs the draft as the version after the roster before (nil: as version 1).
func (a *Authority) Sign(d *Draft, before *pki.Roster) (*pki.Roster, error) {
	version := uint64(1)
	if before != nil {
		version = before.Version + 1
	}
	return a.SignVersion(d, version)
}

// SignVersion signs the draft as that version. Outside tests use Sign: two rosters of one version are refused by everybody.
func (a *Authority) SignVersion(d *Draft, version uint64) (*pki.Roster, error) {
	payload, err := a.payload(d, version).Marshal()
	if err != nil {
		return nil, fmt.Errorf("signing roster version %d: %w", version, err)
	}
	envelope, err := a.seal(payload)
	if err != nil {
		return nil, fmt.Errorf("signing roster version %d: %w", version, err)
	}
	return pki.OpenRoster(a.group, envelope, a.opts.Now())
}

// payload is the draft in the order in which a roster is signed.
func (a *Authority) payload(d *Draft, version uint64) *wire.Roster {
	now := a.opts.Now()
	expires := now.Add(a.opts.Life)
	if expires.After(a.group.CA.NotAfter) {
		expires = a.group.CA.NotAfter
	}
	r := &wire.Roster{Group: a.group.ID, Version: version, Issued: now.Unix(), Expires: expires.Unix()}
	members, relays := slices.Clone(d.Members), slices.Clone(d.Relays)
	slices.SortFunc(members, func(x, y *pki.Certificate) int { return cmp.Compare(x.Role, y.Role) })
	slices.SortFunc(relays, func(x, y pki.Relay) int { return cmp.Compare(x.Role, y.Role) })
	for _, m := range members {
		r.Members = append(r.Members, wire.RosterMember{Certificate: m.DER})
	}
	for _, m := range relays {
		entry := wire.RosterRelay{Certificate: m.DER}
		for _, addr := range m.Addrs {
			entry.Addrs = append(entry.Addrs, addr.Bytes())
		}
		r.Relays = append(r.Relays, entry)
	}
	return r
}

// seal signs a roster's payload as a libp2p envelope.
func (a *Authority) seal(payload []byte) ([]byte, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	envelope, err := record.Seal(pki.RosterRecord(payload), key)
	if err != nil {
		return nil, err
	}
	return envelope.Marshal()
}
