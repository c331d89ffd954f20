package webtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The corpus and the Tab can fail a test: in a page that shows such texts as markup, scripts run and the Tab says so.
func TestCorpusBites(t *testing.T) {
	for _, name := range []string{"script", "image", "vector", "closing"} {
		t.Run(name, func(t *testing.T) {
			tab := NewTab(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = io.WriteString(w, "<!doctype html><link rel=icon href='data:,'><p>"+Hostile[name]+"</p><script>console.error('seen')</script>")
			}))
			defer server.Close()
			tab.Open(server.URL + "/")
			tab.Until("window." + Trap + " === 1")
			if p := strings.Join(tab.Problems(), "\n"); !strings.Contains(p, "console.error") {
				t.Errorf("the tab noticed: %s", p)
			}
		})
	}
}

// A page asks on while its test ends: whatever serves it is gone before the page.
func TestServerGoesFirst(t *testing.T) {
	tab := NewTab(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><link rel=icon href='data:,'><script>function ask() {"+
			"fetch('/state').then(() => setTimeout(ask, 1), () => { window.gone = true })} ask()</script>")
	}))
	t.Cleanup(func() {
		server.Close()
		tab.Until("window.gone")
	})
	tab.Open(server.URL + "/")
}
