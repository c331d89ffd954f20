package state

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func load(t *testing.T, s *Store) *Loaded {
	t.Helper()
	l, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func commit(t *testing.T, s *Store, fill func(*Change)) {
	t.Helper()
	c := &Change{}
	fill(c)
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// TestEverythingComesBack writes one of each, closes, and reads it again.
func TestEverythingComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	now := time.UnixMilli(1_700_000_000_123)
	commit(t, s, func(c *Change) {
		c.Put("a", []byte("1"))
		c.Put("b", []byte("2"))
		c.Delete("b")
		c.AddSession(Session{Transcript: wire.Transcript{1}, About: []byte("about"), State: []byte("old")})
		c.AddSession(Session{Transcript: wire.Transcript{2}, About: []byte("gone"), State: []byte("x")})
		c.SetState(wire.Transcript{1}, []byte("new"))
		c.SetState(wire.Transcript{2}, []byte("y"))
		c.Forget(wire.Transcript{2})
		c.Queue(Outgoing{Seq: 7, ID: wire.MessageID{7}, Text: "seven", At: now})
		c.Queue(Outgoing{Seq: 6, ID: wire.MessageID{6}, Text: "six", At: now})
		c.Show(Shown{Sender: "A", ID: wire.MessageID{9}})
		for seq := range int64(3) {
			c.Shelve(Shelved{Seq: 3 - seq, Data: []byte{byte(seq)}, At: now})
		}
		c.ShelfStored(2)
		c.Unshelve(1)
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l := load(t, open(t, path))
	if len(l.Records) != 1 || string(l.Records["a"]) != "1" {
		t.Errorf("records %q", l.Records)
	}
	if len(l.Sessions) != 1 || string(l.Sessions[0].State) != "new" || string(l.Sessions[0].About) != "about" {
		t.Errorf("sessions %+v", l.Sessions)
	}
	if len(l.Outbox) != 2 || l.Outbox[0].Text != "six" || !l.Outbox[1].At.Equal(now) {
		t.Errorf("outbox %+v", l.Outbox)
	}
	if len(l.Shelf) != 2 || l.Shelf[0].Seq != 2 || !l.Shelf[0].Stored || l.Shelf[1].Stored || l.Shelf[1].Data[0] != 0 || !l.Shelf[0].At.Equal(now) {
		t.Errorf("shelf %+v", l.Shelf)
	}
	if !slices.Equal(l.Shown, []Shown{{"A", wire.MessageID{9}}}) {
		t.Errorf("shown %v", l.Shown)
	}
}

// TestDoneWhileQueued takes a message out in the change that puts it in, and in a later one.
func TestDoneWhileQueued(t *testing.T) {
	s := open(t, "")
	a, b := Outgoing{Seq: 1, ID: wire.MessageID{1}, Text: "a"}, Outgoing{Seq: 2, ID: wire.MessageID{2}, Text: "b"}
	commit(t, s, func(c *Change) { c.Queue(a); c.Queue(b); c.Done(a.Seq) })
	if l := load(t, s); len(l.Outbox) != 1 || l.Outbox[0].ID != b.ID {
		t.Fatalf("outbox %+v", l.Outbox)
	}
	commit(t, s, func(c *Change) { c.Done(b.Seq) })
	if l := load(t, s); len(l.Outbox) != 0 {
		t.Fatalf("outbox %+v", l.Outbox)
	}
}

// TestAllOrNothing has one statement of a change fail: none of it is there.
func TestAllOrNothing(t *testing.T) {
	s := open(t, "")
	c := &Change{}
	c.Put("kept", []byte("x"))
	c.add("INSERT INTO no_such_table VALUES (1)")
	if err := s.Commit(t.Context(), c); err == nil {
		t.Fatal("a broken change was committed")
	}
	if l := load(t, s); len(l.Records) != 0 {
		t.Fatalf("half a change is there: %q", l.Records)
	}
}

// TestStateOfAForgottenSession is what a commit that was under way may bring: it must not raise the session again.
func TestStateOfAForgottenSession(t *testing.T) {
	s := open(t, "")
	commit(t, s, func(c *Change) { c.SetState(wire.Transcript{3}, []byte("late")) })
	if l := load(t, s); len(l.Sessions) != 0 {
		t.Fatalf("sessions %+v", l.Sessions)
	}
}

// TestShownIsBounded keeps the newest.
func TestShownIsBounded(t *testing.T) {
	s := open(t, "")
	id := func(i int) (m wire.MessageID) {
		m[0], m[1], m[2] = byte(i>>16), byte(i>>8), byte(i)
		return m
	}
	commit(t, s, func(c *Change) {
		for i := range MaxShown + 10 {
			c.Show(Shown{Sender: "A", ID: id(i)})
		}
	})
	commit(t, s, func(c *Change) { c.Show(Shown{Sender: "B", ID: id(0)}) }) // another sender's ID is another message
	l := load(t, s)
	if len(l.Shown) != MaxShown || l.Shown[len(l.Shown)-1].Sender != "B" || l.Shown[0].ID == id(0) {
		t.Fatalf("%d are kept, from %v to %v", len(l.Shown), l.Shown[0], l.Shown[len(l.Shown)-1])
	}
}

// TestOlderFile takes over the outbox and the shown messages of a file from before they were kept as they are now.
func TestOlderFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := durable.Open(path, []durable.Schema{{Name: schema.Name, Steps: schema.Steps[:2]}}, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sent, id := Outgoing{Seq: 7, ID: wire.MessageID{1}, Text: "seven", At: time.UnixMilli(1)}, wire.MessageID{0xff, 0, 0xfe}
	if err := db.Write(t.Context(), func(tx *durable.Tx) error {
		for _, role := range []string{"A", "somebody"} {
			if err := tx.Exec("INSERT INTO shown (sender, id) VALUES (?, ?)", role, id[:]); err != nil {
				return err
			}
		}
		return tx.Exec("INSERT INTO outbox (seq, id, text, at) VALUES (?, ?, ?, ?)", sent.Seq, sent.ID[:], sent.Text, 1)
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l := load(t, open(t, path))
	if !slices.Equal(l.Shown, []Shown{{"A", id}, {"somebody", id}}) {
		t.Errorf("shown %q", l.Shown)
	}
	if !slices.Equal(l.Outbox, []Outgoing{sent}) {
		t.Errorf("outbox %+v", l.Outbox)
	}
}

// TestOneProcess refuses a second opening.
func TestOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open(t, path)
	if _, err := Open(path); !errors.Is(err, durable.ErrLocked) {
		t.Fatalf("a second opening: %v", err)
	}
}

// TestEmptyChange costs nothing, also on a store that is closed.
func TestEmptyChange(t *testing.T) {
	s := open(t, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(context.Background(), &Change{}); err != nil {
		t.Fatal(err)
	}
}
