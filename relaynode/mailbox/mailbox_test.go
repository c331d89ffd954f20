package mailbox_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"conclave/overlay/durable"
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
	mailboxtest.Run(t, func(_ testing.TB, limits func() mailbox.Limits) mailbox.Store { return mailbox.NewMemory(limits) })
}

func TestSQLite(t *testing.T) {
	mailboxtest.Run(t, func(t testing.TB, limits func() mailbox.Limits) mailbox.Store {
		return mailbox.NewSQLite(openDB(t, filepath.Join(t.TempDir(), "state.db")), limits)
	})
}

func openDB(t testing.TB, path string) *durable.DB {
	t.Helper()
	db, err := durable.Open(path, []durable.Schema{mailbox.Schema()}, durable.Options{})
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
