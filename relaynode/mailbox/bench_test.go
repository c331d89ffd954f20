package mailbox_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/baseline"
	"conclave/overlay/wire"
	"conclave/relaynode/mailbox"
)

// The measured load: 64 writers that each deposit 1.5 KB and wait until it is durable.
const (
	benchWriters = 64
	benchPayload = 1500
)

// BenchmarkDeposit reports durable deposits per second, beside one fsynced append to a file for each, in the same run
// and the same folder.
func BenchmarkDeposit(b *testing.B) {
	limits := mailbox.DefaultLimits(benchWriters)
	limits.Pair = mailbox.Quota{Items: 1 << 30, Bytes: 1 << 40}
	limits.Sender, limits.Recipient, limits.Total = limits.Pair, limits.Pair, limits.Pair
	db := openDB(b, filepath.Join(b.TempDir(), "state.db"))
	store := mailbox.NewSQLite(db, mailbox.Fixed(limits))
	ours := perSecond(b, func(writer, n int) error {
		payload := make([]byte, benchPayload)
		copy(payload, fmt.Sprint(writer, " ", n))
		item := wire.MailItem{To: peer.ID(fmt.Sprint("recipient ", n%benchWriters)), Kind: wire.KindShare, Payload: payload}
		verdicts, err := store.Deposit(context.Background(), peer.ID(fmt.Sprint("sender ", writer)), []wire.MailItem{item}, born)
		if err == nil && verdicts[0] != wire.VerdictStored {
			err = fmt.Errorf("deposit: %v", verdicts[0])
		}
		return err
	})

	log, err := baseline.OpenLog(filepath.Join(b.TempDir(), "append"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	appended := perSecond(b, func(int, int) error { return log.Append(make([]byte, benchPayload)) })
	b.ReportMetric(ours, "deposits/s")
	b.ReportMetric(appended, "fsynced-appends/s")
	b.ReportMetric(ours/appended, "times-baseline")
	stats := db.Stats()
	b.ReportMetric(float64(stats.Writes)/float64(stats.Groups), "writes/commit")
	b.ReportMetric(0, "ns/op")
}

// perSecond returns how many calls of write a second the writers get done.
func perSecond(b *testing.B, write func(writer, n int) error) float64 {
	b.Helper()
	rate, err := baseline.PerSecond(benchWriters, 2*time.Second, write)
	if err != nil {
		b.Fatal(err)
	}
	return rate
}
