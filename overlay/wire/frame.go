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

	// MinPlaintext is the smallest size bucket. Buckets double from here to 4 KiB.
	MinPlaintext = 128
	// PlaintextStep is the distance of the size buckets from 4 KiB on.
	PlaintextStep = 4096
	// MaxPlaintext is the largest size bucket: a text of 32 KiB and its envelope fit into it.
	MaxPlaintext = 9 * PlaintextStep // 36,864
	// MaxFrame is the largest frame in bytes.
	MaxFrame = MaxPlaintext + FrameOverhead // 36,936
)

// ErrFrame is returned when bytes are not a well-formed frame.
var ErrFrame = errors.New("not a well-formed frame")

// FrameHeader is the readable part of a frame. It says what the frame claims; only opening the frame proves it.
type FrameHeader struct {
	Prefix  Prefix // first 8 bytes of the session's transcript
	Sender  uint16 // index of the sender in the session's members, in role order
	Start   uint32 // number of the sender's process start within the session, from 0
	Counter uint32 // number of the frame within the start, from 0
	Length  uint32 // length of the ciphertext, which is a size bucket
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

// ParseFrameHeader reads the header of a whole frame. The version and the type must be known, the length must be a
// size bucket and must be exactly what the frame carries; anything else is ErrFrame.
func ParseFrameHeader(frame []byte) (FrameHeader, error) {
	if len(frame) < MinPlaintext+FrameOverhead || len(frame) > MaxFrame {
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
	if int(h.Length) != len(frame)-FrameOverhead || PlaintextSize(int(h.Length)) != int(h.Length) {
		return FrameHeader{}, ErrFrame
	}
	return h, nil
}

// PlaintextSize returns the size bucket for n bytes: the smallest of 128, 256, 512, 1024, 2048, 4096 and the multiples
// of 4096 above that is at least n. It returns 0 when n is above MaxPlaintext.
//
// Doubling all the way would hide more of a long text's size, and cost up to twice its bytes; chat is short.
func PlaintextSize(n int) int {
	if n > MaxPlaintext {
		return 0
	}
	if n > PlaintextStep {
		return (n + PlaintextStep - 1) / PlaintextStep * PlaintextStep
	}
	size := MinPlaintext
	for size < n {
		size *= 2
	}
	return size
}
