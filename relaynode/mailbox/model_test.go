package mailbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/mailbox/mailboxtest"
)

// TestBothAgree does the same random things to a mailbox in memory and to one in a database, whose memory is thrown away
// now and then, and gets the same answers.
func TestBothAgree(t *testing.T) {
	limits := mailbox.Limits{
		Item: 8, TTL: 20 * time.Minute,
		Pair: mailbox.Quota{Items: 3, Bytes: 14}, Sender: mailbox.Quota{Items: 5, Bytes: 22},
		Recipient: mailbox.Quota{Items: 5, Bytes: 22}, Total: mailbox.Quota{Items: 8, Bytes: 36},
	}
	verdicts := map[wire.Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		db, err := durable.OpenMemory([]durable.Schema{mailbox.Schema()}, durable.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		ctx := t.Context()
		one, two := mailboxtest.NewMemory(mailbox.Fixed(limits)), mailbox.NewSQLite(db, mailbox.Fixed(limits))
		now := born
		peers := rapid.SampledFrom([]peer.ID{"A", "B", "C"})
		text := rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "text"), "xxxxxxxx"[:rapid.SampledFrom([]int{0, 1, 4, 8}).Draw(t, "size")])
		})
		item := rapid.Custom(func(t *rapid.T) wire.MailItem {
			return wire.MailItem{To: peers.Draw(t, "to"), Kind: rapid.SampledFrom([]wire.Kind{1, 1, 1, 2, 2, 3}).Draw(t, "kind"), Payload: []byte(text.Draw(t, "text"))}
		})
		same := func(what string, a, b any, errs ...error) {
			for _, err := range errs {
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("%s (-memory +database):\n%s", what, diff)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"deposit": func(t *rapid.T) {
				from, items := peers.Draw(t, "from"), rapid.SliceOfN(item, 1, 4).Draw(t, "items")
				a, err1 := one.Deposit(ctx, from, items, now)
				b, err2 := two.Deposit(ctx, from, items, now)
				same("verdicts", a, b, err1, err2)
				for _, v := range a {
					verdicts[v]++
				}
			},
			"acknowledge": func(t *rapid.T) {
				to := peers.Draw(t, "to")
				page, err := one.Pending(ctx, to, 0, 10)
				if err != nil || len(page) == 0 {
					return
				}
				ids := []wire.MailID{page[rapid.IntRange(0, len(page)-1).Draw(t, "which")].ID}
				by := peers.Draw(t, "by")
				a, err1 := one.Acknowledge(ctx, by, ids)
				b, err2 := two.Acknowledge(ctx, by, ids)
				same("acknowledged", a, b, err1, err2)
			},
			"forget": func(t *rapid.T) {
				to := peers.Draw(t, "to")
				a, err1 := one.Forget(ctx, to)
				b, err2 := two.Forget(ctx, to)
				same("forgotten", a, b, err1, err2)
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 10).Draw(t, "minutes")) * time.Minute)
				a, err1 := one.Expire(ctx, now)
				b, err2 := two.Expire(ctx, now)
				same("expired", a, b, err1, err2)
			},
			"restart": func(*rapid.T) { two = mailbox.NewSQLite(db, mailbox.Fixed(limits)) },
			"": func(t *rapid.T) {
				for _, to := range []peer.ID{"A", "B", "C"} {
					a, err1 := one.Pending(ctx, to, 0, 100)
					b, err2 := two.Pending(ctx, to, 0, 100)
					for i := range a {
						a[i].Seq = 0
					}
					for i := range b {
						b[i].Seq = 0
					}
					same("pending", a, b, err1, err2, one.Check(ctx), two.Check(ctx))
				}
				a, err1 := one.Stats(ctx)
				b, err2 := two.Stats(ctx)
				same("stats", a, b, err1, err2)
			},
		})
	})
	for v := wire.VerdictStored; v <= wire.VerdictMalformed && !testing.Short(); v++ {
		if v != wire.VerdictUnknownRecipient && verdicts[v] == 0 {
			t.Errorf("no deposit was ever answered %q: %v", v, verdicts)
		}
	}
}
