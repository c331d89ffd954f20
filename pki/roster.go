package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"

	"conclave/overlay/wire"
)

// The envelope of a roster: its signature domain and its payload type.
const (
	RosterDomain = "conclave roster v1"
	RosterCodec  = "/conclave/roster/1"
)

// maxClockLead is how far ahead of now a roster's date of issue may lie.
const maxClockLead = 24 * time.Hour

// Roster is a verified roster: who belongs to the group. Static after OpenRoster.
type Roster struct {
	Group    wire.GroupID
	Version  uint64
	Hash     wire.RosterHash // of the signed payload
	Issued   time.Time
	Expires  time.Time
	Members  []Member // in role order
	Relays   []Relay  // in name order
	Envelope []byte   // as signed, to hand on

	byPeer     map[peer.ID]*Certificate
	byIdentity map[[ed25519.PublicKeySize]byte]*Certificate // of the members
}

// Member is a member in a roster.
type Member struct{ *Certificate }

// Relay is a relay node in a roster, and where it can be reached. Each address ends in /p2p/<its peer ID>.
type Relay struct {
	*Certificate
	Addrs []ma.Multiaddr
}

// OpenRoster verifies a roster's envelope: signed by the group's CA key, for this group, in canonical encoding, every
// certificate in the profile. Dates are not judged, except for a roster issued more than a day after now: an expired
// roster opens, and Expired says so; a certificate in it may be outside its dates, and ValidAt says so.
func OpenRoster(g *Group, envelope []byte, now time.Time) (*Roster, error) {
	payload, err := openEnvelope(g, envelope)
	if err != nil {
		return nil, err
	}
	raw, err := wire.UnmarshalRoster(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	if raw.Group != g.ID {
		return nil, ErrRosterGroup
	}
	r := &Roster{
		Group: raw.Group, Version: raw.Version, Hash: sha256.Sum256(payload),
		Issued: time.Unix(raw.Issued, 0), Expires: time.Unix(raw.Expires, 0),
		Envelope: bytes.Clone(envelope), byPeer: make(map[peer.ID]*Certificate),
		byIdentity: make(map[[ed25519.PublicKeySize]byte]*Certificate),
	}
	if r.Issued.After(now.Add(maxClockLead)) {
		return nil, fmt.Errorf("%w: on %s, now is %s", ErrRosterFromFuture, stamp(r.Issued), stamp(now))
	}
	if err := r.addMembers(g, raw.Members); err != nil {
		return nil, err
	}
	if err := r.addRelays(g, raw.Relays); err != nil {
		return nil, err
	}
	return r, nil
}

// openEnvelope returns the payload of an envelope that the group's CA key signed. The key is compared before the
// signature is verified: the library verifies under whatever key the envelope brings along, RSA of any size included.
func openEnvelope(g *Group, envelope []byte) ([]byte, error) {
	if len(envelope) > wire.MaxRosterEnvelope {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRoster, len(envelope), wire.MaxRosterEnvelope)
	}
	e, err := record.UnmarshalEnvelope(envelope)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	signer, err := peer.IDFromPublicKey(e.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	want, err := wire.PeerIDOf(g.CA.PublicKey.(ed25519.PublicKey)) // ParseGroup took no other type
	if err != nil || signer != want {
		return nil, ErrRosterSignature
	}
	if !bytes.Equal(e.PayloadType, []byte(RosterCodec)) {
		return nil, fmt.Errorf("%w: payload type %q", ErrRoster, e.PayloadType)
	}
	rec := &rosterRecord{}
	if _, err := record.ConsumeTypedEnvelope(envelope, rec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRosterSignature, err)
	}
	if again, err := e.Marshal(); err != nil || !bytes.Equal(again, envelope) {
		return nil, fmt.Errorf("%w: the envelope is not in canonical encoding", ErrRoster)
	}
	return rec.payload, nil
}

// rosterRecord carries a roster's payload through package record, as bytes.
type rosterRecord struct{ payload []byte }

func (*rosterRecord) Domain() string                   { return RosterDomain }
func (*rosterRecord) Codec() []byte                    { return []byte(RosterCodec) }
func (r *rosterRecord) MarshalRecord() ([]byte, error) { return r.payload, nil }
func (r *rosterRecord) UnmarshalRecord(b []byte) error { r.payload = b; return nil }

// RosterRecord returns a payload as the record that pki/authority seals.
func RosterRecord(payload []byte) record.Record { return &rosterRecord{payload: payload} }

func (r *Roster) addMembers(g *Group, members []wire.RosterMember) error {
	for i, m := range members {
		c, err := r.add(g, m.Certificate, KindMember)
		if err != nil {
			return err
		}
		if i > 0 && r.Members[i-1].Role >= c.Role {
			return fmt.Errorf("%w: members are not in role order at %q", ErrRoster, c.Role)
		}
		r.byIdentity[[ed25519.PublicKeySize]byte(c.Identity)] = c
		r.Members = append(r.Members, Member{c})
	}
	return distinct(r.Members, func(m Member) wire.Role { return m.Role })
}

func (r *Roster) addRelays(g *Group, relays []wire.RosterRelay) error {
	for i, m := range relays {
		c, err := r.add(g, m.Certificate, KindRelay)
		if err != nil {
			return err
		}
		if i > 0 && r.Relays[i-1].Role >= c.Role {
			return fmt.Errorf("%w: relay nodes are not in name order at %q", ErrRoster, c.Role)
		}
		addrs, err := parseAddrs(m.Addrs, c.Peer)
		if err != nil {
			return err
		}
		r.Relays = append(r.Relays, Relay{Certificate: c, Addrs: addrs})
	}
	return distinct(r.Relays, func(m Relay) wire.Role { return m.Role })
}

// add verifies one certificate and enters it under its peer ID, which must be new.
func (r *Roster) add(g *Group, der []byte, kind Kind) (*Certificate, error) {
	c, err := VerifyCertificateUndated(g, der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	if c.Kind != kind {
		return nil, fmt.Errorf("%w: %s %q is listed as %s", ErrRoster, c.Kind, c.Role, kind)
	}
	if r.byPeer[c.Peer] != nil {
		return nil, fmt.Errorf("%w: peer %s is listed twice", ErrRoster, c.Peer)
	}
	r.byPeer[c.Peer] = c
	return c, nil
}

// distinct checks that no two names differ by case alone.
func distinct[T any](list []T, name func(T) wire.Role) error {
	seen := make(map[string]bool, len(list))
	for _, item := range list {
		folded := strings.ToLower(string(name(item)))
		if seen[folded] {
			return fmt.Errorf("%w: the name %q is listed twice", ErrRoster, name(item))
		}
		seen[folded] = true
	}
	return nil
}

// parseAddrs reads a relay node's addresses, each of which must end in its peer ID.
func parseAddrs(raw [][]byte, id peer.ID) ([]ma.Multiaddr, error) {
	var addrs []ma.Multiaddr
	for _, b := range raw {
		addr, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return nil, fmt.Errorf("%w: relay node's address: %w", ErrRoster, err)
		}
		if _, last := peer.SplitAddr(addr); last != id {
			return nil, fmt.Errorf("%w: address %s does not end in /p2p/%s", ErrRoster, addr, id)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// Expired reports whether the roster's time is over. An expired roster starts no new epoch.
func (r *Roster) Expired(now time.Time) bool { return now.After(r.Expires) }

// Member returns the member with that role.
func (r *Roster) Member(role wire.Role) (Member, bool) {
	i, ok := slices.BinarySearchFunc(r.Members, role, func(m Member, role wire.Role) int { return strings.Compare(string(m.Role), string(role)) })
	if !ok {
		return Member{}, false
	}
	return r.Members[i], true
}

// MemberByPeer returns the member with that peer ID and its index in role order.
func (r *Roster) MemberByPeer(p peer.ID) (Member, int, bool) {
	i := slices.IndexFunc(r.Members, func(m Member) bool { return m.Peer == p })
	if i < 0 {
		return Member{}, -1, false
	}
	return r.Members[i], i, true
}

// MemberByIdentity returns the member with that identity key. It allocates nothing.
func (r *Roster) MemberByIdentity(key ed25519.PublicKey) (Member, bool) {
	if len(key) != ed25519.PublicKeySize {
		return Member{}, false
	}
	c := r.byIdentity[[ed25519.PublicKeySize]byte(key)]
	return Member{c}, c != nil
}

// Relay returns the relay node with that peer ID.
func (r *Roster) Relay(p peer.ID) (Relay, bool) {
	i := slices.IndexFunc(r.Relays, func(m Relay) bool { return m.Peer == p })
	if i < 0 {
		return Relay{}, false
	}
	return r.Relays[i], true
}

// Certificate returns the certificate of that member or relay node, or nil.
func (r *Roster) Certificate(p peer.ID) *Certificate { return r.byPeer[p] }

// Admits reports whether that peer is a member or relay node.
func (r *Roster) Admits(p peer.ID) bool { return r.byPeer[p] != nil }

// Verify checks a certificate that a proven remote peer presents: in the profile, valid now, naming that peer, and its
// holder in this roster with the same keys. A renewed certificate and the one before it are both accepted.
func (r *Roster) Verify(g *Group, der []byte, p peer.ID, now time.Time) (*Certificate, error) {
	listed := r.byPeer[p]
	if listed != nil && r.Group == g.ID && bytes.Equal(listed.DER, der) { // OpenRoster has verified all but the dates
		if err := listed.ValidAt(now); err != nil {
			return nil, err
		}
		return listed, nil
	}
	c, err := VerifyCertificate(g, der, now)
	if err != nil {
		return nil, err
	}
	if err := c.VerifyPeer(p); err != nil {
		return nil, err
	}
	if listed == nil || !listed.SameHolder(c) {
		return nil, fmt.Errorf("%w: %s %q", ErrNotInRoster, c.Kind, c.Role)
	}
	return c, nil
}

// Supersedes returns nil if r may take the place of old (nil: none yet), which it also may when both are the same;
// otherwise ErrRosterOlder or ErrRosterConflict.
func (r *Roster) Supersedes(old *Roster) error {
	switch {
	case old == nil || r.Version > old.Version:
		return nil
	case r.Version < old.Version:
		return fmt.Errorf("%w: version %d, known is %d", ErrRosterOlder, r.Version, old.Version)
	case r.Hash != old.Hash:
		return fmt.Errorf("%w: version %d is %s and %s", ErrRosterConflict, r.Version, old.Hash, r.Hash)
	}
	return nil
}
