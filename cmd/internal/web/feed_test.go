package web

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// got is an event as a reader gets it.
type got struct{ id, name, data string }

// listener reads a feed as a browser does.
type listener struct {
	t      *testing.T
	events chan got
	status int
	close  func()
}

// listen begins to read a feed after an event.
func listen(t *testing.T, server *httptest.Server, after, lastEventID string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"?after="+after, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, events: make(chan got, 1000), status: answer.StatusCode, close: cancel}
	go func() {
		defer close(l.events)
		defer answer.Body.Close()
		var e got
		for scan := bufio.NewScanner(answer.Body); scan.Scan(); {
			field, value, _ := strings.Cut(scan.Text(), ": ")
			switch field {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					l.events <- e
				}
				e = got{}
			}
		}
	}()
	t.Cleanup(cancel)
	return l
}

func (l *listener) next() got {
	l.t.Helper()
	select {
	case e, ok := <-l.events:
		if !ok {
			l.t.Fatal("the feed ended")
		}
		return e
	case <-time.After(patience):
		l.t.Fatal("no event came")
		return got{}
	}
}

func publish(t *testing.T, f *Feed, v any) {
	t.Helper()
	if err := f.Publish("thing", v); err != nil {
		t.Fatal(err)
	}
}

func newFeedServer(t *testing.T, keep int) (*Feed, *httptest.Server) {
	t.Helper()
	f := NewFeed(keep)
	server := httptest.NewServer(f)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return f, server
}

func TestFeedResumesWhereAReaderWas(t *testing.T) {
	f, server := newFeedServer(t, 100)
	start := f.Last()
	l := listen(t, server, start, "")
	publish(t, f, "one\ntwo")
	first := l.next()
	if first.name != "thing" || first.data != `"one\ntwo"` || first.id != f.Last() {
		t.Fatalf("the event came as %+v", first)
	}
	l.close()
	publish(t, f, 2)
	publish(t, f, 3)
	// Last-Event-ID, which the browser sends, wins over the address, which is the page's first.
	l = listen(t, server, start, first.id)
	if a, b := l.next(), l.next(); a.data != "2" || b.data != "3" {
		t.Errorf("after the first came %+v and %+v", a, b)
	}
	publish(t, f, 4)
	if e := l.next(); e.data != "4" {
		t.Errorf("then came %+v", e)
	}
	l = listen(t, server, start, "")
	if e := l.next(); e != first {
		t.Errorf("from the start came %+v", e)
	}
}

// A reader that names no event, one of another feed, one that is gone or one that never was, fetches the state again.
func TestFeedSaysWhenItCannotResume(t *testing.T) {
	f, server := newFeedServer(t, 3)
	old := f.Last()
	for i := range 5 {
		publish(t, f, i)
	}
	for _, after := range []string{"", "nonsense", "-3", "0badf00d-3", old, strings.TrimSuffix(f.Last(), "5") + "6", f.Last() + "x"} {
		l := listen(t, server, after, "")
		if e := l.next(); e.name != "reset" || e.id != f.Last() {
			t.Errorf("after %q came %+v", after, e)
		}
		l.close()
	}
	l := listen(t, server, "", "")
	l.next()
	publish(t, f, "next")
	if e := l.next(); e.data != `"next"` {
		t.Errorf("after the reset came %+v", e)
	}
}

// A reader that falls behind what the feed keeps is told to start over; the feed does not wait and does not grow.
func TestFeedIsBounded(t *testing.T) {
	f := NewFeed(10)
	for i := range 100 {
		publish(t, f, i)
	}
	f.mu.Lock()
	events, size := len(f.events), f.bytes
	f.mu.Unlock()
	if events != 10 || size != 20 {
		t.Errorf("it keeps %d events, %d bytes", events, size)
	}
	if _, reset, _ := f.after(89); !reset {
		t.Error("a reader that lacks an event is not told")
	}
	if got, reset, _ := f.after(90); reset || len(got) != 10 {
		t.Errorf("a reader that lacks ten gets %d, reset %v", len(got), reset)
	}
	big := strings.Repeat("x", maxFeedBytes/3)
	for range 5 {
		publish(t, f, big)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes > maxFeedBytes || len(f.events) > 3 {
		t.Errorf("it keeps %d events, %d bytes", len(f.events), f.bytes)
	}
}

func TestFeedRefusesTooManyReaders(t *testing.T) {
	f, server := newFeedServer(t, 10)
	var all []*listener
	for range maxClients {
		all = append(all, listen(t, server, f.Last(), ""))
	}
	if f.Clients() != maxClients {
		t.Fatalf("there are %d readers", f.Clients())
	}
	if l := listen(t, server, f.Last(), ""); l.status != http.StatusServiceUnavailable {
		t.Errorf("one too many gets %d", l.status)
	}
	all[0].close()
	for deadline := time.Now().Add(patience); f.Clients() == maxClients; {
		if time.Now().After(deadline) {
			t.Fatal("a reader that left is still counted")
		}
		time.Sleep(time.Millisecond)
	}
	if l := listen(t, server, f.Last(), ""); l.status != http.StatusOK {
		t.Errorf("after one left there is %d", l.status)
	}
}

// stuck is a reader whose connection takes nothing any more.
type stuck struct {
	http.ResponseWriter
	deadline time.Time
}

func (s *stuck) Header() http.Header                   { return http.Header{} }
func (s *stuck) WriteHeader(int)                       {}
func (s *stuck) SetWriteDeadline(when time.Time) error { s.deadline = when; return nil }
func (s *stuck) FlushError() error                     { return nil }
func (s *stuck) Write([]byte) (int, error) {
	time.Sleep(time.Until(s.deadline)) // as a connection whose buffers are full
	return 0, context.DeadlineExceeded
}

func TestFeedDropsAReaderThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(10)
		start := time.Now()
		f.ServeHTTP(&stuck{}, httptest.NewRequest(http.MethodGet, "/events", nil))
		if took := time.Since(start); took > clientTimeout || f.Clients() != 0 {
			t.Errorf("it is dropped after %v, %d readers are left", took, f.Clients())
		}
	})
}

func TestFeedShowsThatItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(10)
		ctx, cancel := context.WithTimeout(t.Context(), heartbeat*5/2)
		defer cancel()
		out := httptest.NewRecorder()
		f.ServeHTTP(out, httptest.NewRequestWithContext(ctx, http.MethodGet, "/events?after="+f.Last(), nil))
		if n := strings.Count(out.Body.String(), ": alive\n\n"); n != 2 {
			t.Errorf("%d signs of life in two and a half times their distance", n)
		}
	})
}

// Gone is when the last window was closed, not when one was loaded again and not before there was one.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(10)
		done := make(chan error, 1)
		start := time.Now()
		go func() { done <- f.Gone(t.Context(), 3*time.Second) }()
		step := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		step(time.Minute) // nobody was there yet
		f.enter("")
		step(time.Minute)
		f.leave()
		publish(t, f, 1) // an event is no reader
		step(2 * time.Second)
		publish(t, f, 2)
		f.enter("") // a reload
		step(10 * time.Second)
		if len(done) != 0 {
			t.Fatalf("gone after %v", time.Since(start))
		}
		f.leave()
		step(2 * time.Second)
		publish(t, f, 3)
		if len(done) != 0 {
			t.Fatal("gone too early")
		}
		step(time.Second + time.Millisecond)
		if len(done) != 1 || <-done != nil {
			t.Error("not gone")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := NewFeed(1).Gone(ctx, time.Second); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ended gives %v", err)
		}
	})
}

func TestFeedTakesOnlyJSON(t *testing.T) {
	f := NewFeed(1)
	if err := f.Publish("thing", func() {}); err == nil {
		t.Error("a func is published")
	}
	if !strings.HasSuffix(f.Last(), "-"+strconv.Itoa(0)) {
		t.Errorf("and counted: %s", f.Last())
	}
}
