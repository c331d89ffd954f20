package news

import (
	"context"
	"crypto/ed25519"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/relaynode/backlog"
)

// TestSlowPeerIsToldOnce has much happen while a peer is told.
func TestSlowPeerIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type round struct {
			bits   Bits
			stored int
		}
		var told []round
		n := New(func(b Bits, ids []wire.BatchID) {
			told = append(told, round{b, len(ids)})
			time.Sleep(time.Second)
		})
		n.Set(Presence)
		synctest.Wait()
		for range 100 {
			n.Set(Roster)
			n.Set(Mail)
		}
		if dropped := n.Add(make([]wire.BatchID, maxStored+3)); dropped != 3 {
			t.Errorf("%d acknowledgements were dropped", dropped)
		}
		time.Sleep(3 * time.Second)
		n.Set(Backlog)
		synctest.Wait()
		n.Set(Mail)
		n.Close()
		n.Set(Presence)
		time.Sleep(time.Minute)
		want := []round{{Presence, 0}, {Roster | Mail, maxStored}, {Backlog, 0}}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// store is a backlog that counts how often its heads are asked for.
type store struct {
	backlog.Store
	heads    []backlog.Head
	revision int64
	asked    int
}

// Heads implements backlog.Store.
func (s *store) Heads(_ context.Context, since int64) ([]backlog.Head, int64, error) {
	s.asked++
	if since == s.revision {
		return nil, s.revision, nil
	}
	return s.heads, s.revision, nil
}

// TestEverybodyIsToldOfOneQuery has several peers told of the same change, and of none.
func TestEverybodyIsToldOfOneQuery(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	signer, err := wire.PeerIDOf(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{revision: 5, heads: make([]backlog.Head, wire.MaxListItems+1)}
	for i := range s.heads {
		s.heads[i] = backlog.Head{Chain: backlog.Chain{Signer: signer}, High: uint32(i)}
	}
	heads := NewHeads(s)
	roster := &pki.Roster{Version: 3, Envelope: []byte("roster")}
	from := Source{Roster: func() *pki.Roster { return roster }, Heads: heads}
	var sent []wire.Message
	send := func(_ context.Context, m wire.Message) error {
		sent = append(sent, m)
		return nil
	}
	peers := make([]State, 3)
	tell := func() (messages []int) {
		t.Helper()
		for i := range peers {
			sent = nil
			if err := from.TellHeads(t.Context(), send, &peers[i]); err != nil {
				t.Fatal(err)
			}
			messages = append(messages, len(sent))
		}
		return messages
	}
	if got := tell(); !slices.Equal(got, []int{2, 2, 2}) || s.asked != 1 || !sent[0].(*wire.Heads).Full || sent[1].(*wire.Heads).Full {
		t.Errorf("told in %v messages, after %d queries", got, s.asked)
	}
	s.heads, s.revision = s.heads[:1], 6
	heads.Changed()
	select {
	case <-heads.Signal:
	default:
		t.Error("nobody is woken")
	}
	if got := tell(); !slices.Equal(got, []int{1, 1, 1}) || s.asked != 2 || sent[0].(*wire.Heads).Full {
		t.Errorf("told in %v messages, after %d queries", got, s.asked)
	}
	if got := tell(); !slices.Equal(got, []int{0, 0, 0}) || s.asked != 3 {
		t.Errorf("told in %v messages, after %d queries", got, s.asked)
	}
	for _, known := range []uint64{2, 3, 4} {
		sent = nil
		at := State{Roster: known}
		for range 2 {
			if err := from.TellRoster(t.Context(), send, &at); err != nil {
				t.Fatal(err)
			}
		}
		if want := known < 3; (len(sent) == 1) != want || at.Roster != max(known, 3) {
			t.Errorf("who had version %d was told in %d messages, and is at %d", known, len(sent), at.Roster)
		}
	}
}
