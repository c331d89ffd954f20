package wire

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"conclave/overlay/wire/internal/pb"
)

var (
	agreementForm = proto.MarshalOptions{Deterministic: true}
	// Unknown fields are dropped here, so that bytes with one differ from what agreementForm makes of them.
	agreementParser = proto.UnmarshalOptions{DiscardUnknown: true}
)

// encode serializes a message; a message made of checked values cannot fail to serialize.
func encode(m proto.Message) []byte {
	b, err := agreementForm.Marshal(m)
	if err != nil {
		panic("wire: serializing a key agreement message: " + err.Error())
	}
	return b
}

// decode parses b and refuses every serialization but the one that encode makes, and so unknown fields too. Two
// different byte strings therefore never mean the same message.
func decode(b []byte, m proto.Message) error {
	if len(b) > MaxSigned || agreementParser.Unmarshal(b, m) != nil {
		return ErrAgreement
	}
	again, err := agreementForm.Marshal(m)
	if err != nil || !bytes.Equal(b, again) {
		return ErrAgreement
	}
	return nil
}

// reader collects whether every field had its exact shape.
type reader struct{ bad bool }

func (r *reader) b32(b []byte) (out [32]byte) {
	if len(b) != len(out) {
		r.bad = true
		return
	}
	return [32]byte(b)
}

func (r *reader) b16(b []byte) (out [16]byte) {
	if len(b) != len(out) {
		r.bad = true
		return
	}
	return [16]byte(b)
}

func (r *reader) role(s string) Role {
	role, err := ParseRole(s)
	if err != nil {
		r.bad = true
	}
	return role
}

func (r *reader) err() error {
	if r.bad {
		return ErrAgreement
	}
	return nil
}

// Marshal returns the message's serialized bytes.
func (s Signed) Marshal() []byte {
	return encode(&pb.Signed{Type: uint32(s.Type), Signer: s.Signer[:], Payload: s.Payload, Signature: s.Signature[:]})
}

// UnmarshalSigned parses a Signed of at most MaxSigned bytes, or returns ErrAgreement. It does not look into the payload.
func UnmarshalSigned(b []byte) (Signed, error) {
	var p pb.Signed
	if err := decode(b, &p); err != nil {
		return Signed{}, err
	}
	typ := SignedType(p.Type)
	if typ < SignedRequest || typ > SignedEnvelope || len(p.Signer) != 32 || len(p.Signature) != 64 || len(p.Payload) == 0 {
		return Signed{}, ErrAgreement
	}
	return Signed{typ, [32]byte(p.Signer), p.Payload, [64]byte(p.Signature)}, nil
}

// Marshal returns the message's serialized bytes.
func (m Request) Marshal() []byte {
	return encode(&pb.Request{
		Group: m.Group[:], RosterVersion: m.RosterVersion, RosterHash: m.RosterHash[:], Role: string(m.Role),
		Instance: m.Instance[:], Sequence: m.Sequence, Want: m.Want, Known: m.Known,
	})
}

// UnmarshalRequest parses a Request, or returns ErrAgreement.
func UnmarshalRequest(b []byte) (Request, error) {
	var p pb.Request
	if err := decode(b, &p); err != nil {
		return Request{}, err
	}
	var r reader
	m := Request{
		r.b32(p.Group), p.RosterVersion, r.b32(p.RosterHash), r.role(p.Role), r.b16(p.Instance), p.Sequence, p.Want, p.Known,
	}
	return m, r.err()
}

// Marshal returns the message's serialized bytes.
func (m Opening) Marshal() []byte {
	p := &pb.Opening{
		Group: m.Group[:], RosterVersion: m.RosterVersion, RosterHash: m.RosterHash[:], Number: m.Number,
		Opener: string(m.Opener), Previous: m.Previous[:], Nonce: m.Nonce[:],
	}
	for i := range m.Contributors {
		c := &m.Contributors[i]
		p.Contributors = append(p.Contributors, &pb.Contributor{Role: string(c.Role), Instance: c.Instance[:]})
	}
	return encode(p)
}

// UnmarshalOpening parses an Opening, or returns ErrAgreement. It checks that the contributors are in role order, each
// once, at most MaxContributors, with the opener among them.
func UnmarshalOpening(b []byte) (Opening, error) {
	var p pb.Opening
	if err := decode(b, &p); err != nil {
		return Opening{}, err
	}
	var r reader
	m := Opening{
		Group: r.b32(p.Group), RosterVersion: p.RosterVersion, RosterHash: r.b32(p.RosterHash), Number: p.Number,
		Opener: r.role(p.Opener), Previous: r.b32(p.Previous), Nonce: r.b16(p.Nonce),
	}
	if len(p.Contributors) > MaxContributors {
		return Opening{}, ErrAgreement
	}
	opener := false
	for i, c := range p.Contributors {
		m.Contributors = append(m.Contributors, Contributor{r.role(c.Role), r.b16(c.Instance)})
		opener = opener || m.Contributors[i].Role == m.Opener
		if i > 0 && !m.Contributors[i-1].Role.Less(m.Contributors[i].Role) {
			r.bad = true
		}
	}
	if !opener {
		r.bad = true
	}
	return m, r.err()
}

// Marshal returns the message's serialized bytes.
func (m Announcement) Marshal() []byte {
	return encode(&pb.Announcement{
		Group: m.Group[:], RosterVersion: m.RosterVersion, Epoch: m.Epoch[:], Role: string(m.Role),
		Instance: m.Instance[:], Commitment: m.Commitment[:],
	})
}

// UnmarshalAnnouncement parses an Announcement, or returns ErrAgreement.
func UnmarshalAnnouncement(b []byte) (Announcement, error) {
	var p pb.Announcement
	if err := decode(b, &p); err != nil {
		return Announcement{}, err
	}
	var r reader
	m := Announcement{
		r.b32(p.Group), p.RosterVersion, r.b32(p.Epoch), r.role(p.Role), r.b16(p.Instance), r.b32(p.Commitment),
	}
	return m, r.err()
}

// Marshal returns the message's serialized bytes.
func (m Confirmation) Marshal() []byte {
	p := &pb.Confirmation{
		Group: m.Group[:], Epoch: m.Epoch[:], Role: string(m.Role), Transcript: m.Transcript[:], Mac: m.MAC[:],
	}
	for i := range m.Announcements {
		p.Announcements = append(p.Announcements, m.Announcements[i][:])
	}
	return encode(p)
}

// UnmarshalConfirmation parses a Confirmation, or returns ErrAgreement.
func UnmarshalConfirmation(b []byte) (Confirmation, error) {
	var p pb.Confirmation
	if err := decode(b, &p); err != nil {
		return Confirmation{}, err
	}
	var r reader
	m := Confirmation{
		Group: r.b32(p.Group), Epoch: r.b32(p.Epoch), Role: r.role(p.Role), Transcript: r.b32(p.Transcript), MAC: r.b32(p.Mac),
	}
	if n := len(p.Announcements); n == 0 || n > MaxContributors {
		return Confirmation{}, ErrAgreement
	}
	for _, h := range p.Announcements {
		m.Announcements = append(m.Announcements, r.b32(h))
	}
	return m, r.err()
}

// Marshal returns the message's serialized bytes.
func (m Lack) Marshal() []byte {
	p := &pb.Lack{Group: m.Group[:], Epoch: m.Epoch[:], Role: string(m.Role), Attempt: m.Attempt}
	for _, role := range m.Of {
		p.Of = append(p.Of, string(role))
	}
	return encode(p)
}

// UnmarshalLack parses a Lack, or returns ErrAgreement.
func UnmarshalLack(b []byte) (Lack, error) {
	var p pb.Lack
	if err := decode(b, &p); err != nil {
		return Lack{}, err
	}
	var r reader
	m := Lack{Group: r.b32(p.Group), Epoch: r.b32(p.Epoch), Role: r.role(p.Role), Attempt: p.Attempt}
	if len(p.Of) > MaxContributors {
		return Lack{}, ErrAgreement
	}
	for i, s := range p.Of {
		m.Of = append(m.Of, r.role(s))
		if i > 0 && !m.Of[i-1].Less(m.Of[i]) {
			r.bad = true
		}
	}
	return m, r.err()
}

// Marshal returns the message's serialized bytes.
func (m Behind) Marshal() []byte {
	return encode(&pb.Behind{Group: m.Group[:], Transcript: m.Transcript[:], Role: string(m.Role), Start: m.Start})
}

// UnmarshalBehind parses a Behind, or returns ErrAgreement.
func UnmarshalBehind(b []byte) (Behind, error) {
	var p pb.Behind
	if err := decode(b, &p); err != nil {
		return Behind{}, err
	}
	var r reader
	m := Behind{r.b32(p.Group), r.b32(p.Transcript), r.role(p.Role), p.Start}
	return m, r.err()
}

// Marshal returns the message's serialized bytes.
func (m Envelope) Marshal() []byte {
	return encode(&pb.Envelope{
		Group: m.Group[:], Suite: m.Suite, Opening: m.Opening, Announcement: m.Announcement, To: string(m.To),
		Ciphertext: m.Ciphertext,
	})
}

// UnmarshalEnvelope parses an Envelope of a known suite, or returns ErrAgreement. It does not look into the opening and
// the announcement.
func UnmarshalEnvelope(b []byte) (Envelope, error) {
	var p pb.Envelope
	if err := decode(b, &p); err != nil {
		return Envelope{}, err
	}
	var r reader
	m := Envelope{r.b32(p.Group), p.Suite, p.Opening, p.Announcement, r.role(p.To), p.Ciphertext}
	if m.Suite != SuiteOAEP || len(m.Opening) == 0 || len(m.Announcement) == 0 || len(m.Ciphertext) == 0 || len(m.Ciphertext) > MaxCiphertext {
		r.bad = true
	}
	return m, r.err()
}
