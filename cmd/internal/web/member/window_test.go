package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/cmd/internal/web"
	"conclave/node"
	"conclave/overlay/wire"
)

// fake is a member that does what a test says.
type fake struct {
	mu      sync.Mutex
	texts   []string
	refuse  error // what Send answers
	who     node.Who
	codes   []node.Verification
	in      node.Inspection
	retries int
	rekeys  int
	marked  []string
}

func (f *fake) Send(text string) (wire.MessageID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.refuse != nil:
		return wire.MessageID{}, f.refuse
	case text == "" || len(text) > node.MaxText:
		return wire.MessageID{}, node.ErrText
	}
	f.texts = append(f.texts, text)
	return messageID(len(f.texts)), nil
}

func (f *fake) Retry(context.Context) error { f.retries++; return nil }
func (f *fake) Rekey(context.Context) error { f.rekeys++; return nil }
func (f *fake) Who(context.Context) (node.Who, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.who, nil
}
func (f *fake) Inspect(context.Context) (node.Inspection, error) { return f.in, nil }
func (f *fake) Verifications(context.Context) ([]node.Verification, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.codes, nil
}

func (f *fake) Verify(_ context.Context, role wire.Role, code string, right bool) error {
	for _, c := range f.codes {
		if c.Role == role && c.Code == code {
			f.marked = append(f.marked, fmt.Sprint(role, " ", right))
			return nil
		}
	}
	return node.ErrCodeChanged
}

func messageID(n int) (id wire.MessageID) {
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}

// someone returns a group of A (this member), B (here) and C (away), with a key.
func someone() *fake {
	return &fake{
		who: node.Who{
			Self: "A", Group: "lab", Epoch: 7, Fingerprint: "0123456789abcdef", RosterVersion: 1, RosterExpires: noon.AddDate(1, 0, 0),
			Links: []node.Link{{State: node.Ready, Relay: "relay"}},
			Members: []node.MemberStatus{
				{Role: "A", Online: true, Confirmed: true}, {Role: "B", Online: true, Path: node.ViaRelay, Confirmed: true}, {Role: "C"},
			},
		},
		codes: []node.Verification{
			{Code: groupCode, Trust: node.Verified, Since: noon},
			{Role: "B", Code: pairCode, Trust: node.Unverified},
			{Role: "C", Code: pairCode, Trust: node.Unverified},
		},
	}
}

const (
	groupCode = "01017 04094 48471 45264 57556 55309 97617 79625"
	pairCode  = "82677 05290 18145 40524 57137 18511 03231 04627"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds int) node.At { return node.At{Time: noon.Add(time.Duration(seconds) * time.Second)} }

// open is a window that is served to one browser.
type open struct {
	*Window
	t       *testing.T
	fake    *fake
	server  *web.Server
	handler http.Handler
	cookie  *http.Cookie
}

func openFake(t *testing.T, f *fake) *open {
	t.Helper()
	lines := web.NewLog(100, nil)
	slog.New(lines.Handler(slog.LevelDebug)).Debug("a quiet line", "n", 1)
	slog.New(lines.Handler(slog.LevelDebug)).Warn("a loud line")
	w := New(Config{
		Node: f, Self: "A", Lines: lines, Now: func() time.Time { return noon }, Log: slog.New(slog.NewTextHandler(failing{t}, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	s, err := Listen(web.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := w.Mount(s); err != nil {
		t.Fatal(err)
	}
	o := &open{Window: w, t: t, fake: f, server: s, handler: s.Handler()}
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	answer := o.ask(http.MethodGet, u.RequestURI(), "")
	for _, c := range answer.Result().Cookies() {
		o.cookie = c
	}
	if o.cookie == nil {
		t.Fatalf("no cookie: %d %s", answer.Code, answer.Body)
	}
	w.refresh(t.Context())
	return o
}

// failing is a log that must stay empty.
type failing struct{ t *testing.T }

func (f failing) Write(p []byte) (int, error) {
	f.t.Errorf("the window logged: %s", p)
	return len(p), nil
}

func (o *open) ask(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = o.server.Addr()
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if o.cookie != nil {
		r.AddCookie(o.cookie)
	}
	out := httptest.NewRecorder()
	o.handler.ServeHTTP(out, r)
	return out
}

// get asks for JSON and reads it.
func get[T any](o *open, path string) (v T) {
	o.t.Helper()
	answer := o.ask(http.MethodGet, path, "")
	if answer.Code != http.StatusOK {
		o.t.Fatalf("%s: %d %s", path, answer.Code, answer.Body)
	}
	if err := json.NewDecoder(answer.Body).Decode(&v); err != nil {
		o.t.Fatalf("%s: %v", path, err)
	}
	return v
}

// post wants a status and returns the answer's text.
func (o *open) post(path, body string, status int) string {
	o.t.Helper()
	answer := o.ask(http.MethodPost, path, body)
	text, _ := io.ReadAll(answer.Body)
	if answer.Code != status {
		o.t.Fatalf("%s %s: %d, want %d: %s", path, body, answer.Code, status, text)
	}
	return string(text)
}

func TestEveryRouteNeedsTheCookie(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	o.cookie = nil
	for _, path := range []string{"/", "/state", "/events", "/history?before=1", "/inspect", "/log?level=info", "/verify", "/diagnostics"} {
		if answer := o.ask(http.MethodGet, path, ""); answer.Code != http.StatusForbidden {
			t.Errorf("GET %s without the cookie: %d", path, answer.Code)
		}
	}
	for _, path := range []string{"/send", "/retry", "/rekey", "/verify"} {
		if answer := o.ask(http.MethodPost, path, "{}"); answer.Code != http.StatusForbidden {
			t.Errorf("POST %s without the cookie: %d", path, answer.Code)
		}
	}
}

func TestOddRequestsAreRefused(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	for _, c := range []struct{ path, body string }{
		{"/send", ""},
		{"/send", "{"},
		{"/send", `{"text":1}`},
		{"/send", `{"text":"a","more":1}`},
		{"/send", `{"text":"a"}{}`},
		{"/send", `{"text":"a","key":"` + strings.Repeat("k", 65) + `"}`},
		{"/retry", `[]`},
		{"/rekey", `{"now":true}`},
		{"/verify", `{"role":1}`},
	} {
		o.post(c.path, c.body, http.StatusBadRequest)
	}
	r := httptest.NewRequest(http.MethodPost, "/send", strings.NewReader(`{"text":"a"}`))
	r.Host = o.server.Addr()
	r.AddCookie(o.cookie)
	r.Header.Set("Content-Type", "text/plain") // what a form of another page could send
	out := httptest.NewRecorder()
	o.handler.ServeHTTP(out, r)
	if out.Code != http.StatusBadRequest {
		t.Errorf("a plain text: %d", out.Code)
	}
	for _, path := range []string{"/history", "/history?before=-1", "/log", "/log?level=loud"} {
		if answer := o.ask(http.MethodGet, path, ""); answer.Code != http.StatusBadRequest {
			t.Errorf("GET %s: %d", path, answer.Code)
		}
	}
	if len(o.fake.texts) != 0 || o.fake.rekeys != 0 {
		t.Errorf("something was done: %+v", o.fake)
	}
}

func TestErrorsAreInPlainWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
	}{
		{node.ErrText, 422},
		{node.ErrCodeChanged, 409},
		{fmt.Errorf("sending: %w", node.ErrOutboxFull), 503},
		{node.ErrClosed, 503},
		{context.DeadlineExceeded, 504},
		{errors.New("no luck"), 500},
	} {
		status, words := blame(c.err)
		if status != c.status || words == "" || !strings.HasSuffix(words+".", ".") || strings.ToUpper(words[:1]) != words[:1] {
			t.Errorf("%v: %d %q", c.err, status, words)
		}
	}
}
