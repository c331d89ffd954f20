package wire

import (
	"encoding/binary"
	"errors"
)

// Specification constants of a frame (SPEC.md section 7.3).
const (
	// FrameVersion is the first byte of every frame of this protocol version.
	FrameVersion = 0x01
	// FrameSealed is the only frame type: content under a sender's chain.
	FrameSealed = 0x01

	// FrameHeaderSize is the length of a frame's header in bytes.
	FrameHeaderSize = 24 // version 1 | type 1 | prefix 8 | sender 2 | start 4 | counter 4 | length 4
	// FrameIVSize is the length of the IV that follows the header.
	FrameIVSize = 16
	// FrameMACSize is the length of the HMAC-SHA256 that ends a frame.
	FrameMACSize = 32
	// FrameOverhead is what a frame adds to its ciphertext.
	FrameOverhead = FrameHeaderSize + FrameIVSize + FrameMACSize // 72

	// ContentHeaderSize is the length of what precedes the body in a frame's plaintext.
	ContentHeaderSize = 29 // message ID 16 | send time 8 | content type 1 | body length 4
	// MinBody is the smallest size bucket of a body.
	MinBody = 128
	// MaxBody is the largest size bucket of a body, and so the longest body.
	MaxBody = 32 << 10

	minFrame = FrameOverhead + ContentHeaderSize + MinBody // 229
	// MaxFrame is the largest frame in bytes.
	MaxFrame = FrameOverhead + ContentHeaderSize + MaxBody // 32,869
)

// ErrFrame is returned when bytes are not a well-formed frame.
var ErrFrame = errors.New("not a well-formed frame")

// FrameHeader is the readable part of a frame. It says what the frame claims; only opening the frame proves it.
type FrameHeader struct {
	Prefix  Prefix // first 8 bytes of the session's transcript
	Sender  uint16 // index of the sender in the session's members, in role order
	Start   uint32 // number of the sender's process start within the session, from 0
	Counter uint32 // number of the frame within the start, from 0
	Length  uint32 // length of the ciphertext: ContentHeaderSize and a size bucket
}

// Append appends the header's 24 bytes to dst.
func (h FrameHeader) Append(dst []byte) []byte {
	dst = append(dst, FrameVersion, FrameSealed)
	dst = append(dst, h.Prefix[:]...)
	dst = binary.BigEndian.AppendUint16(dst, h.Sender)
	dst = binary.BigEndian.AppendUint32(dst, h.Start)
	dst = binary.BigEndian.AppendUint32(dst, h.Counter)
	return binary.BigEndian.AppendUint32(dst, h.Length)
}

// ParseFrameHeader reads the header of a whole frame. The version and the type must be known, the length must be
// one that a size bucket gives and must be exactly what the frame carries; anything else is ErrFrame.
func ParseFrameHeader(frame []byte) (FrameHeader, error) {
	if len(frame) < minFrame || len(frame) > MaxFrame {
		return FrameHeader{}, ErrFrame
	}
	if frame[0] != FrameVersion || frame[1] != FrameSealed {
		return FrameHeader{}, ErrFrame
	}
	h := FrameHeader{
		Prefix:  Prefix(frame[2:10]),
		Sender:  binary.BigEndian.Uint16(frame[10:12]),
		Start:   binary.BigEndian.Uint32(frame[12:16]),
		Counter: binary.BigEndian.Uint32(frame[16:20]),
		Length:  binary.BigEndian.Uint32(frame[20:24]),
	}
	if int(h.Length) != len(frame)-FrameOverhead || PlaintextSize(int(h.Length)-ContentHeaderSize) != int(h.Length) {
		return FrameHeader{}, ErrFrame
	}
	return h, nil
}

// PlaintextSize returns the length of the plaintext with a body of n bytes: ContentHeaderSize and the body's size bucket,
// which is the smallest of 128, 256, 512, … 32,768 that is at least n. It returns 0 when n is above MaxBody.
func PlaintextSize(n int) int {
	if n > MaxBody {
		return 0
	}
	bucket := MinBody
	for bucket < n {
		bucket *= 2
	}
	return ContentHeaderSize + bucket
}
