package baseline

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Log is a file to which every record is appended and synced on its own, one after the other: the simplest thing that
// is durable. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	file *os.File
}

// OpenLog creates or continues the log at path.
func OpenLog(path string) (*Log, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return &Log{file: file}, nil
}

// Append writes one record (length, 4 bytes ‖ data) and returns when it is on the disk.
func (l *Log) Append(data []byte) error {
	record := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(data)), uint32(len(data)))
	record = append(record, data...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.Write(record); err != nil {
		return fmt.Errorf("appending to the log: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("syncing the log: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

// The load that AgainstLog measures: so many writers that each write so many bytes and wait until they are durable.
const (
	LogWriters = 64
	LogRecord  = 1500
)

// AgainstLog reports how many durable writes a second LogWriters writers of LogRecord bytes get done, beside one synced
// append to a Log for each, in turns on the same disk, and how long one such append takes. The writes are called what; no two
// calls of a writer have the same number.
func AgainstLog(b *testing.B, what string, write func(writer, call int) error) {
	b.Helper()
	const turns, each = 5, 800 * time.Millisecond
	log, err := OpenLog(filepath.Join(b.TempDir(), "append"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	var rates [2]float64
	side := func(n int, write func(writer, call int) error) func(int) error {
		return func(int) error {
			rate, err := PerSecond(LogWriters, each, write)
			rates[n] += rate / turns
			return err
		}
	}
	var calls [LogWriters]int
	ours := func(writer, _ int) error {
		calls[writer]++
		return write(writer, calls[writer]-1)
	}
	appends := func(int, int) error { return log.Append(make([]byte, LogRecord)) }
	if err := Interleave(turns, side(0, ours), side(1, appends)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(rates[0], what+"/s")
	b.ReportMetric(rates[1], "fsynced-appends/s")
	b.ReportMetric(1e6/rates[1], "µs/fsynced-append")
	b.ReportMetric(rates[0]/rates[1], "times-baseline")
	b.ReportMetric(0, "ns/op")
}
