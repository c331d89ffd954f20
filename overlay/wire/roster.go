package wire

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"conclave/overlay/wire/internal/pb"
)

// Caps on a roster (SPEC.md section 2.4), beside MaxRosterEnvelope and MaxCertificate.
const (
	MaxMembers    = 1024 // members in a roster
	MaxRelays     = 64   // relay nodes in a roster
	MaxRelayAddrs = 16   // addresses of one relay node
	MaxAddr       = 512  // bytes of one binary multiaddr
)

// ErrRoster is returned for bytes that do not have the shape of a roster.
var ErrRoster = errors.New("not a roster")

// Roster is the payload of a roster envelope, as shape: nothing in it has been verified.
type Roster struct {
	Group   GroupID
	Version uint64 // at least 1
	Issued  int64  // Unix seconds
	Expires int64  // Unix seconds
	Members []RosterMember
	Relays  []RosterRelay
}

// RosterMember is one member of a roster.
type RosterMember struct {
	Certificate []byte // X.509 DER
}

// RosterRelay is one relay node of a roster.
type RosterRelay struct {
	Certificate []byte   // X.509 DER
	Addrs       [][]byte // binary multiaddrs
}

// Marshal returns the roster's payload. It is what the group's authority signs, once: nobody marshals it again.
func (r *Roster) Marshal() ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	m := &pb.Roster{Group: r.Group[:], Version: r.Version, Issued: r.Issued, Expires: r.Expires}
	for _, member := range r.Members {
		m.Members = append(m.Members, &pb.RosterMember{Certificate: member.Certificate})
	}
	for _, relay := range r.Relays {
		m.Relays = append(m.Relays, &pb.RosterRelay{Certificate: relay.Certificate, Addrs: relay.Addrs})
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// UnmarshalRoster parses a roster's payload, or returns ErrRoster. Unknown fields are refused, because what is signed must
// be understood, and so is any encoding but the one that Marshal gives.
func UnmarshalRoster(payload []byte) (*Roster, error) {
	if len(payload) > MaxRosterEnvelope {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRoster, len(payload), MaxRosterEnvelope)
	}
	var m pb.Roster
	if err := proto.Unmarshal(payload, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	if len(m.Group) != len(GroupID{}) {
		return nil, fmt.Errorf("%w: group ID of %d bytes", ErrRoster, len(m.Group))
	}
	r := &Roster{Group: GroupID(m.Group), Version: m.Version, Issued: m.Issued, Expires: m.Expires}
	unknown := len(m.ProtoReflect().GetUnknown())
	for _, member := range m.Members {
		unknown += len(member.ProtoReflect().GetUnknown())
		r.Members = append(r.Members, RosterMember{Certificate: member.Certificate})
	}
	for _, relay := range m.Relays {
		unknown += len(relay.ProtoReflect().GetUnknown())
		r.Relays = append(r.Relays, RosterRelay{Certificate: relay.Certificate, Addrs: relay.Addrs})
	}
	if unknown > 0 {
		return nil, fmt.Errorf("%w: unknown fields", ErrRoster)
	}
	again, err := r.Marshal()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, payload) {
		return nil, fmt.Errorf("%w: not in canonical encoding", ErrRoster)
	}
	return r, nil
}

// maxUnix is the last second of the year 9999, beyond which X.509 has no dates either.
const maxUnix = 253402300799

// validate checks counts and sizes.
func (r *Roster) validate() error {
	switch {
	case r.Version == 0:
		return fmt.Errorf("%w: version 0", ErrRoster)
	case r.Issued < 0 || r.Expires <= r.Issued || r.Expires > maxUnix:
		return fmt.Errorf("%w: dates out of order", ErrRoster)
	case len(r.Members) > MaxMembers:
		return fmt.Errorf("%w: %d members, at most %d", ErrRoster, len(r.Members), MaxMembers)
	case len(r.Relays) > MaxRelays:
		return fmt.Errorf("%w: %d relay nodes, at most %d", ErrRoster, len(r.Relays), MaxRelays)
	}
	for _, member := range r.Members {
		if err := validateCertificate(member.Certificate); err != nil {
			return err
		}
	}
	for _, relay := range r.Relays {
		if err := validateCertificate(relay.Certificate); err != nil {
			return err
		}
		if len(relay.Addrs) > MaxRelayAddrs {
			return fmt.Errorf("%w: relay node with %d addresses, at most %d", ErrRoster, len(relay.Addrs), MaxRelayAddrs)
		}
		for _, addr := range relay.Addrs {
			if len(addr) == 0 || len(addr) > MaxAddr {
				return fmt.Errorf("%w: address of %d bytes, at most %d", ErrRoster, len(addr), MaxAddr)
			}
		}
	}
	return nil
}

func validateCertificate(der []byte) error {
	if len(der) == 0 || len(der) > MaxCertificate {
		return fmt.Errorf("%w: certificate of %d bytes, at most %d", ErrRoster, len(der), MaxCertificate)
	}
	return nil
}
