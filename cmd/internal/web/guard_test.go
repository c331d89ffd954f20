package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// serve runs a server with a page, a feed and a wish until the test ends. did counts the wishes that were granted.
func serve(t *testing.T) (s *Server, feed *Feed, did func() int) {
	t.Helper()
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	wishes := make(chan struct{}, 100)
	feed = NewFeed(16)
	s.Handle("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") }))
	s.Handle("GET /events", feed)
	s.Handle("POST /send", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { wishes <- struct{}{} }))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return s, feed, func() int { return len(wishes) }
}

// browser returns a client that keeps cookies, as a browser does.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// visit fetches an address and returns status and text.
func visit(t *testing.T, c *http.Client, method, address string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return answer, "a feed" // it has no end
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// inside returns a client that has opened the window, and the address without token.
func inside(t *testing.T, s *Server) (*http.Client, string) {
	t.Helper()
	c := browser(t)
	answer, text := visit(t, c, http.MethodGet, s.URL(), nil)
	if answer.StatusCode != http.StatusOK || text != "the page" {
		t.Fatalf("the window does not open: %s %q", answer.Status, text)
	}
	if answer.Request.URL.RawQuery != "" {
		t.Fatalf("the token stays in the address: %s", answer.Request.URL)
	}
	return c, "http://" + s.Addr()
}

// Every request that an attack makes, on every kind of route, with the cookie unless the attack is to do without.
func TestAttacksOnTheWindow(t *testing.T) {
	foreign := func(site, origin string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Origin", origin)
		}
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, a := range []struct {
		name   string
		status int // of the refusal
		method string
		path   string
		how    func(*http.Request)
		out    bool // without a cookie
	}{
		{"cross-site POST", 403, "POST", "/send", foreign("cross-site", "https://evil.example"), false},
		{"POST from another port", 403, "POST", "/send", foreign("same-site", "http://127.0.0.1:1"), false},
		{"POST by an old browser", 403, "POST", "/send", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, false},
		{"POST from a sandboxed frame", 403, "POST", "/send", func(r *http.Request) { r.Header.Set("Origin", "null") }, false},
		{"feed read by another site", 403, "GET", "/events", foreign("cross-site", "https://evil.example"), false},
		{"feed read from another port", 403, "GET", "/events", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, false},
		{"page embedded by another site", 403, "GET", "/", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, false},
		{"page under a foreign name", 421, "GET", "/", host("evil.example"), false},
		{"feed under a foreign name", 421, "GET", "/events", host("evil.example"), false},
		{"file under a foreign name", 421, "GET", "STATIC", host("evil.example"), false},
		{"POST under a foreign name", 421, "POST", "/send", host("evil.example"), false},
		{"page under the name localhost", 421, "GET", "/", host("localhost"), false},
		{"page without the port", 421, "GET", "/", host("127.0.0.1"), false},
		{"page without cookie", 403, "GET", "/", nil, true},
		{"feed without cookie", 403, "GET", "/events", nil, true},
		{"file without cookie", 403, "GET", "STATIC", nil, true},
		{"POST without cookie", 403, "POST", "/send", nil, true},
		{"POST with a wrong cookie", 403, "POST", "/send", func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: "conclave-" + portOf(r), Value: "AAAA"})
		}, true},
	} {
		t.Run(a.name, func(t *testing.T) {
			s, _, did := serve(t)
			c, base := inside(t, s)
			if a.out {
				c = browser(t)
			}
			path := a.path
			if path == "STATIC" {
				path = s.Asset("web.css")
			}
			answer, text := visit(t, c, a.method, base+path, func(r *http.Request) {
				if a.how != nil {
					a.how(r)
				}
				if r.Host != s.Addr() && !a.out { // the client keeps it back under another name
					cookie := s.cookie
					r.AddCookie(&cookie)
				}
			})
			if answer.StatusCode != a.status || did() != 0 {
				t.Errorf("got %s %q, want %d", answer.Status, text, a.status)
			}
		})
	}
}

func portOf(r *http.Request) string { return r.URL.Port() }

// A token that was seen in the list of processes opens nothing any more.
func TestTokenWorksOnce(t *testing.T) {
	s, _, _ := serve(t)
	address := s.URL()
	if answer, _ := visit(t, browser(t), http.MethodGet, address, nil); answer.StatusCode != http.StatusOK {
		t.Fatalf("the first use: %s", answer.Status)
	}
	if answer, text := visit(t, browser(t), http.MethodGet, address, nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("the second use gives %s %q", answer.Status, text)
	}
}

func TestTokensAreRefused(t *testing.T) {
	s, _, _ := serve(t)
	base := "http://" + s.Addr()
	for _, address := range []string{"/?token=", "/?token=guess", "/?token=guess&token=guess"} {
		if answer, _ := visit(t, browser(t), http.MethodGet, base+address, nil); answer.StatusCode != http.StatusForbidden || len(answer.Cookies()) != 0 {
			t.Errorf("%s gives %s", address, answer.Status)
		}
	}
	good, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	token := good.Query().Get("token")
	for _, r := range []struct{ method, path string }{{"POST", "/"}, {"GET", "/events"}, {"GET", s.Asset("web.css")}, {"POST", "/send"}} {
		if answer, _ := visit(t, browser(t), r.method, base+r.path+"?token="+token, nil); answer.StatusCode != http.StatusForbidden {
			t.Errorf("a token with %s %s gives %s", r.method, r.path, answer.Status)
		}
	}
	// A link on another site does not use it up.
	elsewhere := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	if answer, _ := visit(t, browser(t), http.MethodGet, good.String(), elsewhere); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a link from elsewhere gives %s", answer.Status)
	}
	if answer, _ := visit(t, browser(t), http.MethodGet, good.String(), nil); answer.StatusCode != http.StatusOK {
		t.Errorf("after all that the token gives %s", answer.Status)
	}
}

// Of many addresses that were given out, the latest work; so nobody can fill the memory by asking.
func TestOldTokensStopWorking(t *testing.T) {
	s, _, _ := serve(t)
	first, second := s.URL(), s.URL()
	for range maxTokens - 1 {
		s.URL()
	}
	if answer, _ := visit(t, browser(t), http.MethodGet, first, nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("the oldest gives %s", answer.Status)
	}
	if answer, _ := visit(t, browser(t), http.MethodGet, second, nil); answer.StatusCode != http.StatusOK {
		t.Errorf("the second oldest gives %s", answer.Status)
	}
}

func TestExchangeLeadsOn(t *testing.T) {
	s, _, _ := serve(t)
	c := browser(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, _ := visit(t, c, http.MethodGet, s.URL()+"&x=10&y=20", nil)
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/?x=10&y=20" {
		t.Errorf("it leads to %q with %s", answer.Header.Get("Location"), answer.Status)
	}
	cookies := answer.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Path != "/" || cookies[0].Domain != "" {
		t.Fatalf("the cookie is %+v", cookies)
	}
	// Who has the cookie may open a used address again, and loses only the token.
	if answer, _ := visit(t, c, http.MethodGet, "http://"+s.Addr()+"/?token=used", nil); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" {
		t.Errorf("a used token with the cookie gives %s to %q", answer.Status, answer.Header.Get("Location"))
	}
}

func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	s, _, _ := serve(t)
	c, base := inside(t, s)
	for _, path := range []string{"/", "/nowhere", s.Asset("dom.js"), "/events", s.Asset("web.css") + "x"} {
		answer, _ := visit(t, c, http.MethodGet, base+path, nil)
		h := answer.Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s has %s: %q", path, name, h.Get(name))
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s lacks %s", path, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") || strings.Contains(csp, "*") {
			t.Errorf("%s has a wide policy: %s", path, csp)
		}
		if cached := h.Get("Cache-Control"); path == "/" && cached != "no-store" {
			t.Errorf("the page may be cached: %q", cached)
		}
		if len(h["Access-Control-Allow-Origin"]) != 0 {
			t.Errorf("%s may be read by others", path)
		}
	}
	// Refusals carry them too.
	answer, _ := visit(t, browser(t), http.MethodGet, base, nil)
	if answer.StatusCode != http.StatusForbidden || answer.Header.Get("Content-Security-Policy") == "" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a refusal is %s %v", answer.Status, answer.Header)
	}
}

func TestOnlyLoopbackIsListenedOn(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.org:80", "127.0.0.1", "10.0.0.1:80", "", "localhost:0", "127.0.0.1:0", "[::1]:0", "[::ffff:10.0.0.1]:0"} {
		want := addr == "" || strings.HasPrefix(addr, "localhost") || strings.HasPrefix(addr, "127.0.0.1:") || strings.HasPrefix(addr, "[::1]")
		if err := CheckAddr(addr); (err == nil) != want || err != nil && !errors.Is(err, ErrNotLoopback) {
			t.Errorf("CheckAddr(%q) says %v", addr, err)
		}
	}
	if s, err := Listen(Config{Addr: "0.0.0.0:0"}); err == nil {
		_ = s.Close()
		t.Error("it listens on every interface")
	}
}

// With the same secret and address, a page that was open goes on after a restart; with another it does not.
func TestCookieSurvivesARestart(t *testing.T) {
	secret := randomBytes()
	start := func(addr string, secret []byte) (*Server, func()) {
		s, err := Listen(Config{Addr: addr, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		s.Handle("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") }))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		return s, func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	s, stop := start("", secret)
	addr := s.Addr()
	c, base := inside(t, s)
	for _, next := range []struct {
		secret []byte
		status int
	}{{secret, 200}, {randomBytes(), 403}, {secret, 200}} {
		stop()
		c.CloseIdleConnections()
		_, stop = start(addr, next.secret)
		if answer, _ := visit(t, c, http.MethodGet, base+"/", nil); answer.StatusCode != next.status {
			t.Errorf("after a restart: %s, want %d", answer.Status, next.status)
		}
	}
	stop()
	if _, err := Listen(Config{Secret: []byte("short")}); err == nil {
		t.Error("a short secret is taken")
	}
}

// The window ends with its context although a page reads its feed.
func TestServeEndsWithReaders(t *testing.T) {
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	feed := NewFeed(4)
	s.Handle("GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") }))
	s.Handle("GET /events", feed)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	c, base := inside(t, s)
	answer, err := c.Get(base + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(graceful - time.Second):
		t.Error("the server waits for its reader")
	}
}
