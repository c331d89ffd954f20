package backlog_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"conclave/overlay/durable"
	"conclave/relaynode/backlog"
	"conclave/relaynode/backlog/backlogtest"
	"conclave/relaynode/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	backlogtest.Run(t, func(_ testing.TB, limits backlog.Limits) backlog.Store { return backlogtest.NewMemory(limits) })
}

func TestSQLite(t *testing.T) {
	backlogtest.Run(t, func(t testing.TB, limits backlog.Limits) backlog.Store {
		return backlog.NewSQLite(openDB(t, filepath.Join(t.TempDir(), "state.db")), limits)
	})
}

func openDB(t testing.TB, path string) *durable.DB {
	t.Helper()
	db, err := durable.Open(path, []durable.Schema{backlog.Schema()}, durable.Options{PageSize: mailbox.PageSize})
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
