package mailbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

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

	file, err := os.Create(filepath.Join(b.TempDir(), "append"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	var mu sync.Mutex
	baseline := perSecond(b, func(int, int) error {
		mu.Lock()
		defer mu.Unlock()
		if _, err := file.Write(make([]byte, benchPayload)); err != nil {
			return err
		}
		return file.Sync()
	})
	b.ReportMetric(ours, "deposits/s")
	b.ReportMetric(baseline, "fsynced-appends/s")
	b.ReportMetric(ours/baseline, "times-baseline")
	stats := db.Stats()
	b.ReportMetric(float64(stats.Writes)/float64(stats.Groups), "writes/commit")
	b.ReportMetric(0, "ns/op")
}

// perSecond has all writers call write for two seconds and returns how many calls a second were done.
func perSecond(b *testing.B, write func(writer, n int) error) float64 {
	b.Helper()
	var done atomic.Int64
	begin := time.Now()
	var wg sync.WaitGroup
	for w := range benchWriters {
		wg.Go(func() {
			for n := 0; time.Since(begin) < 2*time.Second; n++ {
				if err := write(w, n); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds()
}
