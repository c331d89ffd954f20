package backlog_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/baseline"
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

	log, err := baseline.OpenLog(filepath.Join(b.TempDir(), "append"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	appended := perSecond(b, func(int, int) error { return log.Append(make([]byte, benchBatch)) })
	b.ReportMetric(ours, "appends/s")
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
