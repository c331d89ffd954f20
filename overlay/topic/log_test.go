package topic

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// What the library says reaches those handlers that ask for it, and its errors reach all.
func TestLibraryLinesReachWhoAsksForThem(t *testing.T) {
	var console, window bytes.Buffer
	log := libraryLog(slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(&console, &slog.HandlerOptions{Level: slog.LevelDebug}), slog.NewTextHandler(&window, &slog.HandlerOptions{Level: LevelLibrary}))))
	log.Warn("odd settings")
	log.With("x", 1).WithGroup("g").Info("a peer came")
	log.Warn(noDeliveryTag)
	log.Error("broken")
	if s := console.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "broken") {
		t.Errorf("the operator reads:\n%s", s)
	}
	if s := window.String(); strings.Count(s, "\n") != 3 || !strings.Contains(s, "level=DEBUG-4 msg=\"odd settings\"") || strings.Contains(s, noDeliveryTag) {
		t.Errorf("who debugs reads:\n%s", s)
	}
}
