package cli

import (
	"context"
	"fmt"
	"log/slog"

	"conclave/cmd/internal/inert"
)

// inertHandler hands on records in which nothing is left that a terminal obeys. A peer can choose much of what is logged: the
// text of a refusal, a name, the reason of an error. Once for all here is better than at each line.
type inertHandler struct{ slog.Handler }

// Handle hands the record on.
func (h inertHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, inert.Line(r.Message), r.PC) // defence: console-message
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(inertAttr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

// WithAttrs returns a handler with these attributes.
func (h inertHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = inertAttr(a)
	}
	return inertHandler{h.Handler.WithAttrs(clean)}
}

// WithGroup returns a handler with this group.
func (h inertHandler) WithGroup(name string) slog.Handler {
	return inertHandler{h.Handler.WithGroup(inert.Line(name))}
}

// inertAttr returns an attribute whose texts are harmless. Numbers and times are as they are.
func inertAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(inert.Line(v.String())) // defence: console-attribute
	case slog.KindAny:
		if text := fmt.Sprintf("%+v", v.Any()); inert.Line(text) != text { // defence: console-value
			v = slog.StringValue(inert.Line(text))
		}
	case slog.KindGroup:
		group := make([]slog.Attr, len(v.Group()))
		for i, of := range v.Group() {
			group[i] = inertAttr(of)
		}
		v = slog.GroupValue(group...)
	}
	return slog.Attr{Key: inert.Line(a.Key), Value: v}
}
