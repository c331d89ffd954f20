package record

import (
	"encoding/binary"
	"time"

	"conclave/node/keyagreement/roster"
	"conclave/node/keyagreement/share"
	"conclave/overlay/wire"
)

// RosterValue returns a roster's value.
func RosterValue(r roster.Roster) []byte {
	fields := [][]byte{binary.BigEndian.AppendUint64(nil, r.Version), Stamp(r.Expires)}
	for _, m := range r.Members {
		fields = append(fields, []byte(m.Role), m.Identity[:], m.Unwrap[:])
	}
	return Pack(fields...)
}

// ReadRoster returns the roster of a value, under the hash that its key names.
func ReadRoster(hash wire.RosterHash, value []byte) (r roster.Roster, ok bool) {
	f := Unpack(value, 2)
	if f == nil || len(f)%3 != 2 || len(f[0]) != 8 {
		return r, false
	}
	r = roster.Roster{Version: binary.BigEndian.Uint64(f[0]), Hash: hash, Expires: ReadStamp(f[1])}
	for i := 2; i < len(f); i += 3 {
		if len(f[i+1]) != 32 || len(f[i+2]) != 32 {
			return r, false
		}
		r.Members = append(r.Members, roster.Member{Role: wire.Role(f[i]), Identity: [32]byte(f[i+1]), Unwrap: [32]byte(f[i+2])})
	}
	return r, true
}

// Completed is what is on disk of a session.
type Completed struct {
	Transcript    wire.Transcript
	Confirm       share.Secret // the confirm key
	At            time.Time
	Superseded    time.Time
	Confirmation  []byte // this member's own, signed
	NoSend        bool
	Erased        bool // the shares are gone
	Split         bool // two announcements of one contributor are known
	Announcements [][]byte
}

// Value returns the session's value.
func (c Completed) Value() []byte {
	flags := make([]byte, 3)
	for i, set := range []bool{c.NoSend, c.Erased, c.Split} {
		if set {
			flags[i] = 1
		}
	}
	fields := [][]byte{c.Transcript[:], c.Confirm.Bytes(), Stamp(c.At), Stamp(c.Superseded), c.Confirmation, flags}
	return Pack(append(fields, c.Announcements...)...)
}

// ReadCompleted returns the session of a value, with so many announcements.
func ReadCompleted(value []byte, announcements int) (c Completed, ok bool) {
	f := Unpack(value, 6+announcements)
	if f == nil || len(f[0]) != 32 || len(f[1]) != 32 || len(f[5]) != 3 {
		return c, false
	}
	return Completed{
		Transcript: wire.Transcript(f[0]), Confirm: share.SecretOf([32]byte(f[1])), At: ReadStamp(f[2]), Superseded: ReadStamp(f[3]),
		Confirmation: f[4], NoSend: f[5][0] == 1, Erased: f[5][1] == 1, Split: f[5][2] == 1, Announcements: f[6 : 6+announcements],
	}, true
}
