package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Reader is what messages are read from: a bufio.Reader over a stream.
type Reader interface {
	io.Reader
	io.ByteReader
}

// maxLengthBytes is the longest length prefix: three bytes of a varint reach 2 MiB, which is not enough for a hello.
const maxLengthBytes = 4

// AppendMessage appends a message as it stands on a stream: uvarint length of what follows | type byte | body. It
// returns ErrMessage when a value is out of its bounds.
func AppendMessage(dst []byte, m Message) ([]byte, error) {
	body, err := EncodeBody(m)
	if err != nil {
		return dst, fmt.Errorf("encoding %s: %w", m.Type(), err)
	}
	dst = binary.AppendUvarint(dst, uint64(1+len(body)))
	dst = append(dst, byte(m.Type()))
	return append(dst, body...), nil
}

// ReadMessage reads one message. Only the given types are accepted, all of them when none is given. The length is
// held against the type's cap before anything is allocated. At a clean end of the stream it returns io.EOF, for bytes
// that are no message ErrMessage.
func ReadMessage(r Reader, accept ...MessageType) (Message, error) {
	length, err := readLength(r) // waits; everything after it has a frame of its own, so that a waiting reader's stack is small
	if err != nil {
		return nil, err
	}
	return readBody(r, length, accept)
}

// readBody reads what follows a message's length.
func readBody(r Reader, length int, accept []MessageType) (Message, error) {
	b, err := r.ReadByte()
	if err != nil {
		return nil, unexpected(err)
	}
	t := MessageType(b)
	if len(accept) > 0 && !slices.Contains(accept, t) {
		return nil, fmt.Errorf("reading %s where it is not expected: %w", t, ErrMessage)
	}
	if limit := t.MaxBody(); limit == 0 || length-1 > limit {
		return nil, fmt.Errorf("reading %s of %d bytes: %w", t, length-1, ErrMessage)
	}
	body := make([]byte, length-1)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, unexpected(err)
	}
	m, err := DecodeBody(t, body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t, err)
	}
	return m, nil
}

// readLength reads a minimal uvarint of at most maxLengthBytes. The result is at least 1: the type byte.
func readLength(r io.ByteReader) (int, error) {
	var n int
	for i := range maxLengthBytes {
		b, err := r.ReadByte()
		if err != nil {
			if i == 0 {
				return 0, err
			}
			return 0, unexpected(err)
		}
		n |= int(b&0x7f) << (7 * i)
		if b&0x80 != 0 {
			continue
		}
		if n == 0 || b == 0 && i > 0 {
			return 0, ErrMessage
		}
		return n, nil
	}
	return 0, ErrMessage
}

// unexpected turns an end of stream inside a message into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
