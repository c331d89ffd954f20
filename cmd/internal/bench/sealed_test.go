package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/overlay/batch"
	"conclave/overlay/wire"
)

// sealed is the baseline with the protocol's bytes, as a chat: each text is sealed, signed, verified and opened as Conclave's
// members do it, on the goroutine that reads it, and nothing else is done. Nobody orders, remembers, keeps or acknowledges
// anything. It is what no implementation of the protocol on this library can go below.
type sealed struct {
	*raw
	keys     []ed25519.PrivateKey
	sessions []*frame.Session
}

// sealedTopic is what their batches are signed for.
const sealedTopic = "sealed"

func newSealed(b testing.TB, members int) chat {
	s := &sealed{raw: newRaw(b, members)}
	var all []frame.Member
	for i := range members {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		s.keys = append(s.keys, key)
		all = append(all, frame.Member{Role: wire.Role(fmt.Sprintf("m%03d", i)), Identity: public})
	}
	prk, err := frame.NewPRK(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	for i := range members {
		session, err := frame.New(frame.Config{PRK: prk, Members: all, Self: i})
		if err != nil {
			b.Fatal(err)
		}
		session.Committed(session.Checkpoint()) // to no disk
		s.sessions = append(s.sessions, session)
	}
	return s
}

func (s *sealed) send(ctx context.Context, from int, text string) error {
	var id wire.MessageID
	if _, err := io.ReadFull(rand.Reader, id[:]); err != nil {
		return err
	}
	f, err := s.sessions[from].Seal(nil, frame.TextContent(id, time.Now(), text))
	if err != nil {
		return err
	}
	data, err := batch.Sign(s.keys[from], sealedTopic, wire.BatchFrames, [][]byte{f})
	if err != nil {
		return err
	}
	return s.star.Members[from].Publish(ctx, data)
}

func (s *sealed) receive(ctx context.Context, member int) (string, error) {
	data, err := s.star.Members[member].Receive(ctx)
	if err != nil {
		return "", err
	}
	b, err := batch.Verify(sealedTopic, data)
	if err != nil {
		return "", err
	}
	opened, err := s.sessions[member].Open(b.Sender, b.Items[0])
	if err != nil {
		return "", err
	}
	return opened.Content.Text(), nil
}
