package topic

import (
	"context"
	"log/slog"
)

// libraryLog returns a logger for the library's own lines. The library warns of what it finds odd about our settings
// (no tags for delivery, say) and tells of its life at info level; an operator gets its errors only, unless he asks for
// LevelLibrary.
func libraryLog(log *slog.Logger) *slog.Logger { return slog.New(&libraryHandler{log.Handler()}) }

// LevelLibrary is the level of what the library says and is no error: below debug, because it tells of every message.
const LevelLibrary = slog.LevelDebug - 4

type libraryHandler struct{ slog.Handler }

// Enabled lets errors through, and the rest where its level is wanted.
func (h *libraryHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, level) && (level >= slog.LevelError || h.Handler.Enabled(ctx, LevelLibrary))
}

// noDeliveryTag is what the library says at every single message when a host has no connection manager with tags.
const noDeliveryTag = "error bumping delivery tag"

// Handle gives what is less than an error its level: of several handlers behind this one, only those then get it that
// asked for such lines.
func (h *libraryHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == noDeliveryTag {
		return nil
	}
	if r.Level < slog.LevelError {
		r.Level = LevelLibrary
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the filter.
func (h *libraryHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &libraryHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the filter.
func (h *libraryHandler) WithGroup(name string) slog.Handler {
	return &libraryHandler{h.Handler.WithGroup(name)}
}
