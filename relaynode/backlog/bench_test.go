package backlog_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
)

// The measured load: 64 writers that each append a batch of one frame, 1.5 KB, and wait until it is durable.
const (
	benchWriters = 64
	benchBatch   = 1500
)

// BenchmarkAppend reports durable appends per second, beside one fsynced append to a file for each, in the same run and
// the same folder.
func BenchmarkAppend(b *testing.B) {
	db := openDB(b, filepath.Join(b.TempDir(), "state.db"))
	store := backlog.NewSQLite(db, backlog.DefaultLimits())
	now := time.Now()
	ours := perSecond(b, func(writer, n int) error {
		data := make([]byte, benchBatch)
		binary.BigEndian.PutUint32(data, uint32(writer))
		binary.BigEndian.PutUint32(data[4:], uint32(n))
		_, err := store.Append(context.Background(), []backlog.Entry{{
			ID: wire.BatchIDOf(data), Signer: peer.ID(fmt.Sprint("signer ", writer)), Data: data,
			Frames: []wire.FrameHeader{{Sender: uint16(writer), Counter: uint32(n)}},
		}}, now)
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
		if _, err := file.Write(make([]byte, benchBatch)); err != nil {
			return err
		}
		return file.Sync()
	})
	b.ReportMetric(ours, "appends/s")
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
