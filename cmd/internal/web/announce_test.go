package web

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"
)

// TestAnnounceAlwaysHasAnAddressThatWorks: every address opens once, and the next one is said at once.
func TestAnnounceAlwaysHasAnAddressThatWorks(t *testing.T) {
	t.Parallel()
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	feed := NewFeed(4)
	s.Handle("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
	s.Handle("GET /events", feed)
	ctx, end := context.WithCancel(t.Context())
	said, says := io.Pipe()
	served, announced := make(chan error, 1), make(chan struct{})
	go func() { served <- s.Serve(ctx) }()
	go func() { defer close(announced); s.Announce(ctx, says, feed) }()
	lines := make(chan string, 100)
	go func() {
		for scan := bufio.NewScanner(said); scan.Scan(); {
			lines <- scan.Text()
		}
		close(lines)
	}()
	next := func() string {
		t.Helper()
		select {
		case l := <-lines:
			return strings.TrimPrefix(l, AnnouncePrefix)
		case <-time.After(60 * time.Second):
			t.Fatal("nothing was announced")
			return ""
		}
	}
	url := next()
	for range 2 {
		jar, _ := cookiejar.New(nil)
		client := &http.Client{Jar: jar}
		if body := get(t, client, url); body != "page" {
			t.Fatalf("%s: %q", url, body)
		}
		if body := get(t, &http.Client{}, url); body == "page" {
			t.Fatal("an address worked twice")
		}
		fresh := next()
		if fresh == url || !strings.HasPrefix(fresh, "http://") {
			t.Fatalf("after %s came %s", url, fresh)
		}
		reading, stop := context.WithCancel(ctx)
		r, err := http.NewRequestWithContext(reading, http.MethodGet, "http://"+s.Addr()+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		events, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := next(); got != AnnounceOpen {
			t.Errorf("a page is open, and said was %q", got)
		}
		stop()
		_ = events.Body.Close()
		if got := next(); got != AnnounceClosed {
			t.Errorf("the page is closed, and said was %q", got)
		}
		url = fresh
	}
	end()
	<-announced
	if err := <-served; err != nil {
		t.Error(err)
	}
	_ = says.Close()
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
