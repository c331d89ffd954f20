package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"conclave/overlay/wire/internal/pb"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// ErrMessage is returned when bytes are not a well-formed message of the session or share stream, or when the values
// of a message do not fit into one.
var ErrMessage = errors.New("not a well-formed message")

// peerIDPrefix is how every Ed25519 peer ID begins: identity multihash, 36 bytes, key type Ed25519, 32 bytes.
var peerIDPrefix = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

const peerIDSize = 38 // peerIDPrefix and a 32-byte key

// codec says how one type of message is capped, read and written.
type codec struct {
	max    int  // largest body in bytes
	fields int  // largest number of fields at the body's top level, counted before parsing
	signed bool // exact: no unknown fields, and the body must be what encoding its values gives
	blank  func() proto.Message
	decode func(proto.Message) (Message, error)
	encode func(Message) (proto.Message, error)
}

// entry builds a codec from functions with exact types.
func entry[P proto.Message, M Message](limit, fields int, signed bool, blank func() P, decode func(P) (M, error), encode func(M) (P, error)) codec {
	return codec{
		max: limit, fields: fields, signed: signed,
		blank:  func() proto.Message { return blank() },
		decode: func(p proto.Message) (Message, error) { return decode(p.(P)) },
		encode: func(m Message) (proto.Message, error) { return encode(m.(M)) },
	}
}

const fewFields = 16 // more than any message without a list has

// codecs is static: one row for each message type.
var codecs = map[MessageType]codec{
	TypeHello:         entry(MaxHello, fewFields, true, blank[pb.Hello], decodeHello, encodeHello),
	TypeHelloReply:    entry(MaxHello, fewFields, true, blank[pb.HelloReply], decodeHelloReply, encodeHelloReply),
	TypeFinish:        entry(MaxSmallMessage, fewFields, true, blank[pb.Finish], decodeFinish, encodeFinish),
	TypeRefusal:       entry(MaxSmallMessage, fewFields, false, blank[pb.Refusal], decodeRefusal, encodeRefusal),
	TypeRosterUpdate:  entry(MaxRosterEnvelope+16, fewFields, false, blank[pb.RosterUpdate], decodeRosterUpdate, encodeRosterUpdate),
	TypePresence:      entry(MaxSessionMessage, MaxListItems, false, blank[pb.Presence], decodePresence, encodePresence),
	TypeDeposit:       entry(MaxSessionMessage, MaxMailItems+1, false, blank[pb.Deposit], decodeDeposit, encodeDeposit),
	TypeDepositResult: entry(MaxSessionMessage, fewFields, false, blank[pb.DepositResult], decodeDepositResult, encodeDepositResult),
	TypeDelivery:      entry(MaxSessionMessage, MaxMailItems, false, blank[pb.Delivery], decodeDelivery, encodeDelivery),
	TypeDeliveryAck:   entry(MaxSessionMessage, MaxListItems, false, blank[pb.DeliveryAck], decodeDeliveryAck, encodeDeliveryAck),
	TypeForward:       entry(MaxSessionMessage, MaxMailItems, false, blank[pb.Forward], decodeForward, encodeForward),
	TypeCollected:     entry(MaxSessionMessage, MaxListItems, false, blank[pb.Collected], decodeCollected, encodeCollected),
	TypeStore:         entry(MaxSessionMessage, MaxListItems, false, blank[pb.Store], decodeStore, encodeStore),
	TypeStored:        entry(MaxSessionMessage, MaxListItems, false, blank[pb.Stored], decodeStored, encodeStored),
	TypeHeads:         entry(MaxSessionMessage, MaxListItems+1, false, blank[pb.Heads], decodeHeads, encodeHeads),
	TypeFetch:         entry(MaxSmallMessage, fewFields, false, blank[pb.Fetch], decodeFetch, encodeFetch),
	TypeFetched:       entry(MaxSessionMessage, MaxListItems, false, blank[pb.Fetched], decodeFetched, encodeFetched),
	TypeCopied:        entry(MaxSessionMessage, MaxListItems, false, blank[pb.Copied], decodeCopied, encodeCopied),
	TypePing:          entry(MaxSmallMessage, fewFields, false, blank[pb.Ping], decodePing, encodePing),
	TypePong:          entry(MaxSmallMessage, fewFields, false, blank[pb.Pong], decodePong, encodePong),
	TypeShareMessage:  entry(maxShareMessage, MaxShareItems, false, blank[pb.ShareMessage], decodeShareMessage, encodeShareMessage),
	TypeShareReply:    entry(MaxSmallMessage, fewFields, false, blank[pb.ShareReply], decodeShareReply, encodeShareReply),
}

const maxShareMessage = MaxShareItems * (MaxShareEnvelope + 8)

func blank[T any]() *T { return new(T) }

// MaxBody returns the largest body in bytes of a message type, 0 for an unknown type.
func (t MessageType) MaxBody() int { return codecs[t].max }

// String names the type as SPEC.md does.
func (t MessageType) String() string {
	c, ok := codecs[t]
	if !ok {
		return fmt.Sprintf("message type 0x%02x", byte(t))
	}
	return string(c.blank().ProtoReflect().Descriptor().Name())
}

var canonical = proto.MarshalOptions{Deterministic: true}

// EncodeBody returns a message's body, without length and type, or ErrMessage when a value is out of its bounds.
func EncodeBody(m Message) ([]byte, error) {
	c, ok := codecs[m.Type()]
	if !ok {
		return nil, ErrMessage
	}
	p, err := c.encode(m)
	if err != nil {
		return nil, err
	}
	body, err := canonical.Marshal(p)
	if err != nil || len(body) > c.max {
		return nil, ErrMessage
	}
	return body, nil
}

// DecodeBody reads the body of a message of the given type, or returns ErrMessage. Values are copied out of body.
// Signed messages (hello, its reply, finish) are exact: an unknown field, or another encoding than EncodeBody's, is
// refused. In the others an unknown field is ignored.
func DecodeBody(t MessageType, body []byte) (Message, error) {
	c, ok := codecs[t]
	if !ok || len(body) > c.max || !fewer(body, c.fields) {
		return nil, ErrMessage
	}
	p := c.blank()
	if err := (proto.UnmarshalOptions{DiscardUnknown: !c.signed}).Unmarshal(body, p); err != nil {
		return nil, ErrMessage
	}
	m, err := c.decode(p)
	if err != nil {
		return nil, err
	}
	if !c.signed {
		return m, nil
	}
	if again, err := EncodeBody(m); err != nil || !bytes.Equal(again, body) {
		return nil, ErrMessage
	}
	return m, nil
}

// fewer says whether body holds at most limit fields at its top level. It is asked before parsing, because a field of
// two bytes can cost a hundred when it is parsed.
func fewer(body []byte, limit int) bool {
	for len(body) > 0 {
		if limit--; limit < 0 {
			return false
		}
		_, _, n := protowire.ConsumeField(body)
		if n < 0 {
			return false
		}
		body = body[n:]
	}
	return true
}

// exactly copies b into dst, which must be of the same length.
func exactly(dst, b []byte) error {
	if len(b) != len(dst) {
		return ErrMessage
	}
	copy(dst, b)
	return nil
}

func signature(b []byte) ([]byte, error) {
	if len(b) != ed25519.SignatureSize {
		return nil, ErrMessage
	}
	return b, nil
}

func decodePeer(b []byte) (peer.ID, error) {
	if len(b) != peerIDSize || !bytes.HasPrefix(b, peerIDPrefix) {
		return "", ErrMessage
	}
	return peer.ID(b), nil
}

func encodePeer(p peer.ID) ([]byte, error) {
	b := []byte(p)
	_, err := decodePeer(b)
	return b, err
}

// each maps a list and stops at the first error.
func each[A, B any](list []A, f func(A) (B, error)) ([]B, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		b, err := f(a)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}
