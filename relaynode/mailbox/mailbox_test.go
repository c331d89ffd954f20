package mailbox_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/mailbox/mailboxtest"
)

func TestMain(m *testing.M) {
	if crashChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

func TestMemory(t *testing.T) {
	mailboxtest.Run(t, func(_ testing.TB, limits func() mailbox.Limits) mailbox.Store { return mailboxtest.NewMemory(limits) })
}

func TestSQLite(t *testing.T) {
	mailboxtest.Run(t, func(t testing.TB, limits func() mailbox.Limits) mailbox.Store {
		return mailbox.NewSQLite(openDB(t, filepath.Join(t.TempDir(), "state.db")), limits)
	})
}

// TestFromVersion1 opens a database whose tables still had indexes.
func TestFromVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	first := mailbox.Schema()
	first.Steps = first.Steps[:1]
	db, err := durable.Open(path, []durable.Schema{first}, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want []mailbox.Mail
	err = db.Write(t.Context(), func(tx *durable.Tx) error {
		for i, name := range []string{"A", "B"} {
			if err := tx.Exec("INSERT INTO mailbox_peer (peer, id) VALUES (?, ?)", i+1, []byte(name)); err != nil {
				return err
			}
		}
		for _, seq := range []int64{7, 2} {
			m := mailbox.Mail{Seq: seq, Mail: wire.Mail{From: "A", Kind: wire.KindShare, Payload: fmt.Append(nil, "mail ", seq)}}
			m.ID = wire.MailIDOf(m.From, "B", m.Kind, m.Payload)
			err := tx.Exec("INSERT INTO mailbox_mail VALUES (?, ?, 1, 2, ?, ?, ?, ?)",
				seq, m.ID[:], int(m.Kind), len(m.Payload), born.Add(time.Hour).UnixMilli(), m.Payload)
			if err != nil {
				return err
			}
			want = append(want, m)
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(want)
	store := mailbox.NewSQLite(openDB(t, path), mailbox.Fixed(mailbox.DefaultLimits(2)))
	got, err := store.Pending(t.Context(), "B", 0, 10)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	item := wire.MailItem{To: "B", Kind: wire.KindShare, Payload: want[0].Payload}
	if v, err := store.Deposit(t.Context(), "A", []wire.MailItem{item}, born); err != nil || v[0] != wire.VerdictDuplicate {
		t.Fatalf("depositing what lies here: %v, %v", v, err)
	}
	if n, err := store.Expire(t.Context(), born.Add(time.Hour)); err != nil || n != 2 {
		t.Fatalf("%d expired, %v; want 2", n, err)
	}
	if err := store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryFollowsTheDatabase has writes of others fail in the same commits, so that all are undone and done again.
func TestMemoryFollowsTheDatabase(t *testing.T) {
	const writers, rounds = 4, 100
	db := openDB(t, filepath.Join(t.TempDir(), "state.db"))
	store := mailbox.NewSQLite(db, mailbox.Fixed(mailbox.DefaultLimits(writers)))
	var all, failing sync.WaitGroup
	done := make(chan struct{})
	failing.Go(func() {
		failed := errors.New("on purpose")
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := db.Write(t.Context(), func(*durable.Tx) error { return failed }); !errors.Is(err, failed) {
				t.Errorf("a write that fails returned %v", err)
				return
			}
		}
	})
	for w := range writers {
		all.Go(func() {
			me := peer.ID(fmt.Sprint(w))
			for i := range rounds {
				item := wire.MailItem{To: "B", Kind: wire.KindShare, Payload: fmt.Append(nil, w, " ", i)}
				v, err := store.Deposit(t.Context(), me, []wire.MailItem{item}, born)
				if err != nil || v[0] != wire.VerdictStored {
					t.Errorf("deposit %d of %d: %v, %v", i, w, v, err)
				}
				id := wire.MailIDOf(me, item.To, item.Kind, item.Payload)
				if i%2 == 0 {
					continue
				}
				if n, err := store.Acknowledge(t.Context(), "B", []wire.MailID{id}); err != nil || n != 1 {
					t.Errorf("%d acknowledged, %v; want 1", n, err)
				}
			}
		})
	}
	all.Wait()
	close(done)
	failing.Wait()
	if err := store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := db.Stats(); s.Groups == s.Writes {
		t.Error("no two writes were ever in one commit: this test tests nothing")
	}
}

func openDB(t testing.TB, path string) *durable.DB {
	t.Helper()
	db, err := durable.Open(path, []durable.Schema{mailbox.Schema()}, durable.Options{PageSize: mailbox.PageSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestDefaultLimitsAreFair(t *testing.T) {
	for n := 1; n <= 300; n++ {
		if err := mailbox.DefaultLimits(n).Fair(n); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
	}
	unfair := mailbox.DefaultLimits(3)
	unfair.Recipient.Items--
	if unfair.Fair(3) == nil {
		t.Error("a recipient's limit below the sum of its pairs' counts as fair")
	}
}
