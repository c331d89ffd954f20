package mailbox_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/internal/baseline"
	"conclave/overlay/wire"
	"conclave/relaynode/mailbox"
)

// BenchmarkDeposit has every writer deposit for one recipient after the other.
func BenchmarkDeposit(b *testing.B) {
	limits := mailbox.DefaultLimits(baseline.LogWriters)
	limits.Pair = mailbox.Quota{Items: 1 << 30, Bytes: 1 << 40}
	limits.Sender, limits.Recipient, limits.Total = limits.Pair, limits.Pair, limits.Pair
	db := openDB(b, filepath.Join(b.TempDir(), "state.db"))
	store := mailbox.NewSQLite(db, mailbox.Fixed(limits))
	baseline.AgainstLog(b, "deposits", func(writer, n int) error {
		payload := make([]byte, baseline.LogRecord)
		copy(payload, fmt.Sprint(writer, " ", n))
		item := wire.MailItem{To: peer.ID(fmt.Sprint("recipient ", n%baseline.LogWriters)), Kind: wire.KindShare, Payload: payload}
		verdicts, err := store.Deposit(context.Background(), peer.ID(fmt.Sprint("sender ", writer)), []wire.MailItem{item}, born)
		if err == nil && verdicts[0] != wire.VerdictStored {
			err = fmt.Errorf("deposit: %v", verdicts[0])
		}
		return err
	})
	stats := db.Stats()
	b.ReportMetric(float64(stats.Writes)/float64(stats.Groups), "writes/commit")
}
