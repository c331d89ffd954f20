package frame

import (
	"bytes"
	"cmp"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"conclave/overlay/wire"
)

// ContentType says what the body of a content is.
type ContentType byte

// The types of content. A receiver ignores content of a type that it does not know.
const (
	ContentText   ContentType = 0x01 // UTF-8, 1 to 32,768 bytes
	ContentAck    ContentType = 0x02 // 1 to 4,096 messages: varint of the sender | short message ID of 4 bytes
	ContentBehind ContentType = 0x03 // sender u16 | start u32 | counter u32: the furthest frame seen of that sender
	// ContentPrevious: prefix 8 | sender u16 | start u32 | counter u32: what the sender sent under another session comes before.
	ContentPrevious ContentType = 0x04
)

// Content is what a frame carries.
type Content struct {
	ID   wire.MessageID // names the message, whatever frame carries it
	Sent time.Time      // by the sender's clock, in whole milliseconds
	Type ContentType
	Body []byte
}

// Position names one frame of a session.
type Position struct {
	Sender  uint16
	Start   uint32
	Counter uint32
}

// TextContent returns a chat message.
func TextContent(id wire.MessageID, sent time.Time, text string) Content {
	return Content{ID: id, Sent: sent, Type: ContentText, Body: []byte(text)}
}

// Ack names a message that was shown.
type Ack struct {
	Sender uint16 // index of its sender in the session of the frame
	ID     wire.ShortID
}

// compare orders what is acknowledged by senders and IDs.
func (a Ack) compare(b Ack) int {
	return cmp.Or(cmp.Compare(a.Sender, b.Sender), bytes.Compare(a.ID[:], b.ID[:]))
}

// AckContent returns an acknowledgement of the messages, which it sorts. Of each follow the distance of its sender's index from
// that of the one before, as a varint of at most 3 bytes, and its short ID.
func AckContent(id wire.MessageID, sent time.Time, shown []Ack) Content {
	slices.SortFunc(shown, Ack.compare)
	shown = slices.Compact(shown)
	body := make([]byte, 0, len(shown)*(1+wire.ShortIDSize))
	last := uint16(0)
	for _, a := range shown {
		body = binary.AppendUvarint(body, uint64(a.Sender-last))
		body = append(body, a.ID[:]...)
		last = a.Sender
	}
	return Content{ID: id, Sent: sent, Type: ContentAck, Body: body}
}

// BehindContent tells a member up to which of its frames others have seen it, when it seems not to know.
func BehindContent(id wire.MessageID, sent time.Time, p Position) Content {
	return Content{ID: id, Sent: sent, Type: ContentBehind, Body: p.append(nil)}
}

// PreviousContent says that what the sender sent last, before what follows under this session, it sent under another one: all
// of it stands before p there.
func PreviousContent(id wire.MessageID, sent time.Time, session wire.Prefix, p Position) Content {
	return Content{ID: id, Sent: sent, Type: ContentPrevious, Body: p.append(session[:])}
}

// append appends a position to body: sender 2 | start 4 | counter 4.
func (p Position) append(body []byte) []byte {
	body = binary.BigEndian.AppendUint16(body, p.Sender)
	body = binary.BigEndian.AppendUint32(body, p.Start)
	return binary.BigEndian.AppendUint32(body, p.Counter)
}

// positionOf reads what append wrote.
func positionOf(b []byte) Position {
	return Position{Sender: binary.BigEndian.Uint16(b), Start: binary.BigEndian.Uint32(b[2:]), Counter: binary.BigEndian.Uint32(b[6:])}
}

// Text returns the text of a ContentText, else "".
func (c Content) Text() string {
	if c.Type != ContentText {
		return ""
	}
	return string(c.Body)
}

// Acks yields what a ContentAck names, in ascending order of the senders.
func (c Content) Acks() iter.Seq[Ack] {
	return func(yield func(Ack) bool) {
		if c.Type != ContentAck {
			return
		}
		sender := uint16(0)
		for b := c.Body; len(b) > 0; {
			a, rest, ok := readAck(b, sender)
			if !ok || !yield(a) {
				return
			}
			sender, b = a.Sender, rest
		}
	}
}

// readAck reads what an acknowledgement names next, after a message of sender.
func readAck(body []byte, sender uint16) (a Ack, rest []byte, ok bool) {
	distance, n := binary.Uvarint(body)
	if n <= 0 || n > 1 && body[n-1] == 0 || distance > uint64(math.MaxUint16-sender) || len(body) < n+wire.ShortIDSize {
		return Ack{}, nil, false
	}
	return Ack{sender + uint16(distance), wire.ShortID(body[n:])}, body[n+wire.ShortIDSize:], true
}

// checkAcks returns ErrContent unless the body is what AckContent makes of some messages.
func checkAcks(body []byte) error {
	count := 0
	var last Ack
	for len(body) > 0 {
		a, rest, ok := readAck(body, last.Sender)
		if !ok {
			return fmt.Errorf("%w: an acknowledgement is pairs of a shortest varint and %d bytes, of indices to %d", ErrContent, wire.ShortIDSize, math.MaxUint16)
		}
		if count > 0 && last.compare(a) >= 0 {
			return fmt.Errorf("%w: an acknowledgement names messages in order, each once", ErrContent)
		}
		last, body = a, rest
		count++
	}
	if count == 0 || count > MaxAcks {
		return fmt.Errorf("%w: an acknowledgement names 1 to %d messages", ErrContent, MaxAcks)
	}
	return nil
}

// Behind returns the position in a ContentBehind, and whether the content is one.
func (c Content) Behind() (Position, bool) {
	if c.Type != ContentBehind || len(c.Body) != positionSize {
		return Position{}, false
	}
	return positionOf(c.Body), true
}

// Previous returns the session and the position in a ContentPrevious, and whether the content is one.
func (c Content) Previous() (session wire.Prefix, before Position, ok bool) {
	if c.Type != ContentPrevious || len(c.Body) != previousSize {
		return wire.Prefix{}, Position{}, false
	}
	return wire.Prefix(c.Body), positionOf(c.Body[prefixSize:]), true
}

const (
	prefixSize   = len(wire.Prefix{})
	positionSize = 10                        // sender 2 | start 4 | counter 4
	previousSize = prefixSize + positionSize // prefix 8 | position 10
)

// check returns ErrContent, with the rule that is broken, for content that no frame may carry.
func (c Content) check() error {
	if len(c.Body) > wire.MaxBody {
		return fmt.Errorf("%w: a body has at most %d bytes", ErrContent, wire.MaxBody)
	}
	switch c.Type {
	case ContentText:
		if len(c.Body) == 0 || len(c.Body) > MaxText {
			return fmt.Errorf("%w: a text has 1 to %d bytes", ErrContent, MaxText)
		}
		if !utf8.Valid(c.Body) {
			return fmt.Errorf("%w: a text is valid UTF-8", ErrContent)
		}
	case ContentAck:
		return checkAcks(c.Body)
	case ContentBehind:
		if len(c.Body) != positionSize {
			return fmt.Errorf("%w: a position has %d bytes", ErrContent, positionSize)
		}
	case ContentPrevious:
		if len(c.Body) != previousSize {
			return fmt.Errorf("%w: a position in a session has %d bytes", ErrContent, previousSize)
		}
	case 0:
		return fmt.Errorf("%w: it has no type", ErrContent)
	}
	return nil
}

// size returns the length of the content's padded plaintext.
func (c Content) size() int { return wire.PlaintextSize(len(c.Body)) }

// encrypt writes the padded plaintext of checked content, encrypted, into dst, which has c.size() bytes. The body goes
// straight from the content through the stream: for a long one a copy in between would be felt.
func (c Content) encrypt(dst []byte, stream cipher.Stream) {
	header := dst[:wire.ContentHeaderSize]
	copy(header, c.ID[:])
	binary.BigEndian.PutUint64(header[16:], uint64(c.Sent.UnixMilli()))
	header[24] = byte(c.Type)
	binary.BigEndian.PutUint32(header[25:], uint32(len(c.Body)))
	end := len(header) + len(c.Body)
	stream.XORKeyStream(header, header)
	stream.XORKeyStream(dst[len(header):end], c.Body)
	stream.XORKeyStream(dst[end:], zeros[:len(dst)-end])
}

// parseContent reads a padded plaintext; the body shares its memory. There is one encoding of each content: the padding
// is zero and reaches to the end of the smallest bucket, else ErrContent.
func parseContent(b []byte) (Content, error) {
	if len(b) < wire.ContentHeaderSize {
		return Content{}, ErrContent
	}
	ms := binary.BigEndian.Uint64(b[16:])
	n := int64(binary.BigEndian.Uint32(b[25:]))
	if ms > math.MaxInt64 || n > int64(len(b)-wire.ContentHeaderSize) {
		return Content{}, ErrContent
	}
	end := wire.ContentHeaderSize + int(n)
	c := Content{
		ID:   wire.MessageID(b[:16]),
		Sent: time.UnixMilli(int64(ms)),
		Type: ContentType(b[24]),
		Body: b[wire.ContentHeaderSize:end:end],
	}
	if c.size() != len(b) {
		return Content{}, ErrContent
	}
	if !bytes.Equal(b[end:], zeros[:len(b)-end]) {
		return Content{}, ErrContent
	}
	return c, c.check()
}

// zeros is what padding is.
var zeros [wire.MaxBody]byte
