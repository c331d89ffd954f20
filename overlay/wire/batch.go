package wire

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// BatchKind says what the items of a batch are.
type BatchKind byte

// The kinds of batches.
const (
	BatchFrames  BatchKind = 0x01 // sealed frames of one sender
	BatchControl BatchKind = 0x02 // key agreement: requests, openings, announcements, confirmations
)

// String names the kind.
func (k BatchKind) String() string {
	switch k {
	case BatchFrames:
		return "frames"
	case BatchControl:
		return "control"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// Specification constants of a batch (SPEC.md section 7.2).
const (
	// BatchVersion is the first byte of every batch of this protocol version.
	BatchVersion = 0x01
	// MaxBatch is the largest batch in bytes, the signature included.
	MaxBatch = 256 << 10
	// MaxBatchItem is the largest item of a batch in bytes.
	MaxBatchItem = 64 << 10
	// MaxBatchItems is the largest number of items in a batch.
	MaxBatchItems = 256
	// BatchOverhead is what a batch adds to its items beside BatchItemOverhead for each.
	BatchOverhead = batchHeaderSize + ed25519.SignatureSize // 100
	// BatchItemOverhead is what a batch adds for each item.
	BatchItemOverhead = 4

	batchHeaderSize = 36 // version 1 | kind 1 | sender 32 | count 2
)

// ErrBatch is returned when bytes are not a well-formed batch, or when values do not fit into one.
var ErrBatch = errors.New("not a well-formed batch")

// Batch is one topic message: items of one sender under one signature. That it parsed says nothing about the
// signature; package batch verifies it.
type Batch struct {
	Kind      BatchKind
	Sender    ed25519.PublicKey // 32 bytes
	Items     [][]byte          // 1 to 256 items of 1 to 65,536 bytes
	Signature []byte            // 64 bytes
}

// AppendUnsigned appends the batch without its signature: what the signature covers beside domain and topic. The
// signature's 64 bytes, for which there is room, complete the batch. It returns ErrBatch when a value is out of its bounds.
func (b Batch) AppendUnsigned(dst []byte) ([]byte, error) {
	if b.Kind != BatchFrames && b.Kind != BatchControl || len(b.Sender) != ed25519.PublicKeySize {
		return nil, ErrBatch
	}
	if len(b.Items) == 0 || len(b.Items) > MaxBatchItems {
		return nil, ErrBatch
	}
	size := BatchOverhead
	for _, item := range b.Items {
		if len(item) == 0 || len(item) > MaxBatchItem {
			return nil, ErrBatch
		}
		size += BatchItemOverhead + len(item)
	}
	if size > MaxBatch {
		return nil, ErrBatch
	}
	dst = append(slices.Grow(dst, size), BatchVersion, byte(b.Kind))
	dst = append(dst, b.Sender...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Items)))
	for _, item := range b.Items {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(item)))
		dst = append(dst, item...)
	}
	return dst, nil
}

// Marshal returns the batch's bytes with the signature that it holds, or ErrBatch.
func (b Batch) Marshal() ([]byte, error) {
	if len(b.Signature) != ed25519.SignatureSize {
		return nil, ErrBatch
	}
	data, err := b.AppendUnsigned(nil)
	if err != nil {
		return nil, err
	}
	return append(data, b.Signature...), nil
}

// ParseBatch reads a batch, without verifying its signature. The result shares data's memory. Lengths are exact and
// capped, version and kind must be known; anything else is ErrBatch.
func ParseBatch(data []byte) (Batch, error) {
	if len(data) < BatchOverhead || len(data) > MaxBatch || data[0] != BatchVersion {
		return Batch{}, ErrBatch
	}
	kind := BatchKind(data[1])
	count := int(binary.BigEndian.Uint16(data[34:36]))
	if kind != BatchFrames && kind != BatchControl || count == 0 || count > MaxBatchItems {
		return Batch{}, ErrBatch
	}
	signature := data[len(data)-ed25519.SignatureSize:]
	rest := data[batchHeaderSize : len(data)-ed25519.SignatureSize]
	items := make([][]byte, count)
	for i := range items {
		if len(rest) < BatchItemOverhead {
			return Batch{}, ErrBatch
		}
		n := int64(binary.BigEndian.Uint32(rest))
		rest = rest[BatchItemOverhead:]
		if n == 0 || n > MaxBatchItem || n > int64(len(rest)) {
			return Batch{}, ErrBatch
		}
		items[i], rest = rest[:n:n], rest[n:]
	}
	if len(rest) != 0 {
		return Batch{}, ErrBatch
	}
	return Batch{Kind: kind, Sender: ed25519.PublicKey(data[2:34:34]), Items: items, Signature: signature}, nil
}

// FrameHeaders returns the headers of a batch of frames. It returns ErrFrame when an item is not a well-formed frame,
// and ErrBatch when the batch is of another kind.
func (b Batch) FrameHeaders() ([]FrameHeader, error) {
	if b.Kind != BatchFrames {
		return nil, ErrBatch
	}
	headers := make([]FrameHeader, len(b.Items))
	for i, item := range b.Items {
		h, err := ParseFrameHeader(item)
		if err != nil {
			return nil, err
		}
		headers[i] = h
	}
	return headers, nil
}
