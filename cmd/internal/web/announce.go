package web

import (
	"context"
	"fmt"
	"io"
	"time"
)

// closedGrace is how long no page may be open until the window counts as closed: a reload takes less.
const closedGrace = 3 * time.Second

// The lines of Announce.
const (
	// AnnouncePrefix begins each of them.
	AnnouncePrefix = "window: "
	// AnnounceOpen follows it when a page has been opened.
	AnnounceOpen = "open"
	// AnnounceClosed follows it when all pages have been closed for a while.
	AnnounceClosed = "closed"
)

// Announce tells whoever started the process about its window until ctx ends, in lines on w:
//
//	window: http://127.0.0.1:40123/?token=…    opens the window, once; another follows whenever one was used
//	window: open                               a page is open
//	window: closed                             the last page has been closed, and not only to be loaded again
//
// So there is always an address that works, and a program that opened the windows knows when the person is done. The feed
// is the one that every page follows.
func (s *Server) Announce(ctx context.Context, w io.Writer, feed *Feed) {
	say := func(text string) { _, _ = fmt.Fprintf(w, "%s%s\n", AnnouncePrefix, text) } // nobody may be listening
	watched := make(chan bool)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		feed.watch(ctx, closedGrace, watched)
	}()
	say(s.URL())
	for {
		select {
		case <-ctx.Done():
			<-ended
			return
		case <-s.used:
			say(s.URL())
		case open := <-watched:
			if open {
				say(AnnounceOpen)
			} else {
				say(AnnounceClosed)
			}
		}
	}
}

// watch says whenever the first page comes, and when the last one has been gone for the grace time, until ctx ends.
func (f *Feed) watch(ctx context.Context, grace time.Duration, to chan<- bool) {
	open := false
	for {
		f.mu.Lock()
		changed, there := f.changed, f.clients > 0
		f.mu.Unlock()
		switch {
		case there == open:
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			continue
		case open && f.Gone(ctx, grace) != nil:
			return
		}
		open = !open
		select {
		case to <- open:
		case <-ctx.Done():
			return
		}
	}
}
