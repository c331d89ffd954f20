// Package record is the bytes of what the key agreement has on disk: keys, and values of packed fields.
//
// A record has a key and a value of fields, each behind its length. All times are Unix milliseconds, u64.
//
//	roster/<hash>          version, expires, then role, identity and unwrap of each member
//	epoch/<id>             opening (Signed), roster hash, first seen
//	part/<id>/<role>       announcement (Signed), share 64 B: secret, erased when nobody needs it any more
//	stored/<id>/<role>     database whose mailbox holds the own share for this member
//	session/<id>           transcript, confirm key, completed, superseded, own confirmation, flags, announcements
//	confirmed/<id>/<role>  empty: this member has confirmed the session
//	dropped/<id>           when it was dropped
//	evidence/<version>/<role>  two announcements (Signed)
//
// It knows no rule and keeps nothing. It may be imported by the key agreement.
package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"time"

	"conclave/overlay/wire"
)

// Roster returns the key of a roster.
func Roster(h wire.RosterHash) string { return "roster/" + h.String() }

// Epoch returns the key of an epoch.
func Epoch(id wire.EpochID) string { return "epoch/" + id.String() }

// Part returns the key of a contributor's part of an epoch.
func Part(id wire.EpochID, r wire.Role) string { return "part/" + id.String() + "/" + string(r) }

// Stored returns the key of where a member's share lies.
func Stored(id wire.EpochID, r wire.Role) string { return "stored/" + id.String() + "/" + string(r) }

// Session returns the key of an epoch's session.
func Session(id wire.EpochID) string { return "session/" + id.String() }

// Confirmed returns the key of a confirmation.
func Confirmed(id wire.EpochID, r wire.Role) string {
	return "confirmed/" + id.String() + "/" + string(r)
}

// Dropped returns the key of the mark of an epoch that was dropped.
func Dropped(id wire.EpochID) string { return "dropped/" + id.String() }

// Evidence returns the key of evidence under a roster version.
func Evidence(version uint64, r wire.Role) string {
	return "evidence/" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, version)) + "/" + string(r)
}

// Pack puts fields one after another, each behind its length (u32).
func Pack(fields ...[]byte) []byte {
	var b []byte
	for _, f := range fields {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

// Unpack takes them apart; nil if the bytes are not a packing of at least n fields.
func Unpack(b []byte, n int) (fields [][]byte) {
	for len(b) >= 4 {
		size := binary.BigEndian.Uint32(b)
		if b = b[4:]; uint64(len(b)) < uint64(size) {
			return nil
		}
		fields = append(fields, bytes.Clone(b[:size]))
		b = b[size:]
	}
	if len(b) != 0 || len(fields) < n {
		return nil
	}
	return fields
}

// Stamp returns a time as 8 bytes; the zero time is zeros.
func Stamp(t time.Time) []byte {
	if t.IsZero() {
		return make([]byte, 8)
	}
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))
}

// ReadStamp returns the time of a Stamp; of anything else the zero time.
func ReadStamp(b []byte) time.Time {
	if len(b) != 8 || binary.BigEndian.Uint64(b) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
}
