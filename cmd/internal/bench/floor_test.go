package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"testing"
	"time"

	"conclave/internal/baseline"
	"conclave/node/frame"
	"conclave/overlay/batch"
	"conclave/overlay/wire"
)

// floor is the baseline with what the protocol makes everybody do with a message, as a chat: it is sealed, signed, verified and
// opened as Conclave's members do it, on the goroutine that reads it, and on everybody's disk, in plain files, 5 ms later, as
// with Conclave. Nothing is ordered, fetched, acknowledged or agreed on. It is about what no implementation of the protocol on
// this library can go below.
type floor struct {
	*raw
	keys     []ed25519.PrivateKey
	sessions []*frame.Session
	journals []*baseline.Journal
}

// floorTopic is what its batches are signed for.
const floorTopic = "floor"

func newFloor(b testing.TB, members int) chat {
	s := &floor{raw: newRaw(b, members)}
	var err error
	if s.journals, err = s.star.Journals(b.TempDir(), 5*time.Millisecond); err != nil {
		b.Fatal(err)
	}
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

func (s *floor) send(ctx context.Context, from int, text string) error {
	var id wire.MessageID
	if _, err := io.ReadFull(rand.Reader, id[:]); err != nil {
		return err
	}
	f, err := s.sessions[from].Seal(nil, frame.TextContent(id, time.Now(), text))
	if err != nil {
		return err
	}
	data, err := batch.Sign(s.keys[from], floorTopic, wire.BatchFrames, [][]byte{f})
	if err != nil {
		return err
	}
	return s.star.Members[from].Publish(ctx, data)
}

func (s *floor) receive(ctx context.Context, member int) (string, error) {
	data, err := s.star.Members[member].Receive(ctx)
	if err != nil {
		return "", err
	}
	b, err := batch.Verify(floorTopic, data)
	if err != nil {
		return "", err
	}
	opened, err := s.sessions[member].Open(b.Sender, b.Items[0])
	if err != nil {
		return "", err
	}
	s.journals[member].Note(data)
	return opened.Content.Text(), nil
}
