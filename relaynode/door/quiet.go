package door

import (
	"context"
	"time"
)

// Session is a member's session, as WatchQuiet sees it.
type Session interface {
	// Heard returns when something came from the member last.
	Heard() time.Time
	// SetQuiet notes whether the member is silent, and reports whether that is new.
	SetQuiet(quiet bool) (changed bool)
}

// WatchQuiet notes of members that nothing came from them for a while, and that something came again, until ctx ends. After each
// look at which something is new, it calls changed. Sessions go on, for longer: over a slow line what a member says may be long
// on its way. A list of those present that is wrong for a while harms nobody, a session that is ended has to be begun again.
func WatchQuiet[S Session](ctx context.Context, after time.Duration, sessions func() []S, changed func()) {
	ticker := time.NewTicker(min(after/4, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if lookQuiet(now, after, sessions()) {
				changed()
			}
		}
	}
}

// lookQuiet reports whether somebody fell silent or was heard again.
func lookQuiet[S Session](now time.Time, after time.Duration, sessions []S) (changed bool) {
	for _, s := range sessions {
		if s.SetQuiet(now.Sub(s.Heard()) > after) {
			changed = true
		}
	}
	return changed
}
