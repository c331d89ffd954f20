package batch

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"conclave/overlay/wire"
)

// domain begins everything that a batch's signature covers, so that a signature made here means nothing elsewhere.
const domain = "conclave batch v1"

// maxTopic is the longest topic name in bytes.
const maxTopic = 255

// ErrForged is returned when data is not a well-formed batch, signed by the sender that it names for the topic.
var ErrForged = errors.New("not a batch signed by its sender for this topic")

// ErrTopic is returned when a topic's name is empty or longer than 255 bytes.
var ErrTopic = errors.New("a topic has a name of 1 to 255 bytes")

// Sign returns a batch of the items, signed for the topic. It fails with wire.ErrBatch when the items break one of the
// caps (256 items of at most 64 KiB each, 256 KiB for all), and with ErrTopic.
func Sign(key ed25519.PrivateKey, topic string, kind wire.BatchKind, items [][]byte) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("signing a batch: the key is not an Ed25519 private key")
	}
	context, err := appendContext(nil, topic)
	if err != nil {
		return nil, err
	}
	b := wire.Batch{Kind: kind, Sender: key.Public().(ed25519.PublicKey), Items: items}
	signed, err := b.AppendUnsigned(context)
	if err != nil {
		return nil, fmt.Errorf("signing a batch: %w", err)
	}
	signature := ed25519.Sign(key, signed)
	return append(signed[len(context):], signature...), nil
}

// Verify returns the batch in data if the sender that it names signed all of it for this topic, else ErrForged. Whether
// that sender is a member is the caller's question. The result shares data's memory.
func Verify(topic string, data []byte) (wire.Batch, error) {
	b, err := wire.ParseBatch(data)
	if err != nil {
		return wire.Batch{}, ErrForged
	}
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	signed, err := appendContext((*room)[:0], topic)
	if err != nil {
		return wire.Batch{}, err
	}
	signed = append(signed, data[:len(data)-ed25519.SignatureSize]...)
	*room = signed
	if !ed25519.Verify(b.Sender, signed, b.Signature) {
		return wire.Batch{}, ErrForged
	}
	return b, nil
}

// rooms hold what a signature covers while it is verified: the batch itself, but behind its context.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// appendContext appends what the signature covers before the batch: domain, length of the topic, topic.
func appendContext(dst []byte, topic string) ([]byte, error) {
	if topic == "" || len(topic) > maxTopic {
		return nil, ErrTopic
	}
	dst = append(dst, domain...)
	dst = append(dst, byte(len(topic)))
	return append(dst, topic...), nil
}

// Frames returns the batches of frames among those that verify accepts, in their order. Whoever fetched them takes nothing else.
func Frames(list [][]byte, verify func(data []byte) (wire.Batch, bool)) []wire.Batch {
	var out []wire.Batch
	for _, data := range list {
		if b, ok := verify(data); ok && b.Kind == wire.BatchFrames {
			out = append(out, b)
		}
	}
	return out
}
