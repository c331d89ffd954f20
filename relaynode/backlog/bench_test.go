package backlog_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/internal/baseline"
	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
)

// BenchmarkAppend has every writer append batches of one frame.
func BenchmarkAppend(b *testing.B) {
	db := openDB(b, filepath.Join(b.TempDir(), "state.db"))
	store := backlog.NewSQLite(db, backlog.DefaultLimits())
	now := time.Now()
	baseline.AgainstLog(b, "appends", func(writer, n int) error {
		data := make([]byte, baseline.LogRecord)
		binary.BigEndian.PutUint32(data, uint32(writer))
		binary.BigEndian.PutUint32(data[4:], uint32(n))
		_, err := store.Append(context.Background(), []backlog.Entry{{
			ID: wire.BatchIDOf(data), Signer: peer.ID(fmt.Sprint("signer ", writer)), Data: data,
			Frames: []wire.FrameHeader{{Sender: uint16(writer), Counter: uint32(n)}},
		}}, now)
		return err
	})
	stats := db.Stats()
	b.ReportMetric(float64(stats.Writes)/float64(stats.Groups), "writes/commit")
}
