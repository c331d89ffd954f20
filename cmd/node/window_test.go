package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"conclave/cmd/internal/cli"
	"conclave/cmd/internal/web"
	"conclave/pki/pkitest"
)

func TestUIAsksForAWindow(t *testing.T) {
	t.Parallel()
	for ui, want := range map[string]flags{
		"web":        {ui: "web", window: web.DefaultAddr},
		"json,web":   {ui: "json", window: web.DefaultAddr},
		"plain,web":  {ui: "plain", window: web.DefaultAddr},
		"json":       {ui: "json"},
		"auto":       {ui: "auto"},
		"web,json":   {ui: "web,json"}, // not a ui: refused later
		"json,web,x": {ui: "json,web,x"},
	} {
		if got := (flags{ui: ui}).withWindow(); got.ui != want.ui || got.window != want.window {
			t.Errorf("%s: ui %q, window %q", ui, got.ui, got.window)
		}
	}
	if got := (flags{ui: "web", window: "127.0.0.1:7777"}).withWindow(); got.window != "127.0.0.1:7777" {
		t.Errorf("the given address became %q", got.window)
	}
}

// nowhere is an address at which no relay node is.
const nowhere = "/ip4/127.0.0.1/tcp/1"

func TestWindowIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	home := pkitest.NewGroup(t, "A").Home()
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:80", "nonsense"} {
		var errs strings.Builder
		code := cli.Run(t.Context(), "node", newCommand(), []string{"--home", home, "--relay", nowhere, "--ui", "web", "--window", addr},
			cli.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: &errs})
		if code != 2 || !strings.Contains(errs.String(), "loopback") || !strings.Contains(errs.String(), "hint: ") {
			t.Errorf("%s: %d %s", addr, code, errs.String())
		}
	}
}

// TestWindowServes starts a member with a window and opens it as a browser does.
func TestWindowServes(t *testing.T) {
	t.Parallel()
	home := pkitest.NewGroup(t, "A").Home()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said, says := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, "node", newCommand(), []string{"--home", home, "--relay", nowhere, "--ui", "web"},
			cli.Stdio{In: strings.NewReader("this is not read\n"), Out: io.Discard, Err: says})
		_ = says.Close()
	}()
	urls := make(chan string, 8)
	go func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), web.AnnouncePrefix+"http"); ok {
				urls <- "http" + url
			}
		}
	}()
	var url string
	select {
	case url = <-urls:
	case <-time.After(30 * time.Second):
		t.Fatal("no address was announced")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Jar: jar}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(page), "End-to-end encrypted") {
		t.Errorf("%d %v %.200s", answer.StatusCode, err, page)
	}
	if strings.Contains(string(page), "this is not read") {
		t.Error("stdin became a message")
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d", code)
	}
}
