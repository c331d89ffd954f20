package relay

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"conclave/cmd/internal/web"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
)

// Implementation constants. All arbitrary within a factor of a few.
const (
	// Inspect is how many of the latest batches and mails the window shows; it belongs into relaynode.Config.
	Inspect = 64

	keepLines   = 2000                   // of the log
	firstLines  = 200                    // of the log, in the page as it is served
	keepEvents  = 4096                   // of the feed
	heldEvery   = 250 * time.Millisecond // distance of two looks at what came
	statusEvery = time.Second            // distance of two looks at the status
)

//go:embed page.html assets
var files embed.FS

// Node is what the window shows; a *relaynode.Node is one.
type Node interface {
	Status(context.Context) (relaynode.Status, error)
	Held(after uint64) []relaynode.Held
	Addrs() []ma.Multiaddr
}

var _ Node = (*relaynode.Node)(nil)

// Window is the relay node's window. Listen makes it, before the relay node, so that it has the log from the first line
// on; Serve runs it.
type Window struct {
	server *web.Server
	feed   *web.Feed
	log    *web.Log
	page   *template.Template
}

// Listen takes the address of a window; see web.Config.
func Listen(cfg web.Config) (*Window, error) {
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, err
	}
	cfg.Assets = append(cfg.Assets, assets)
	server, err := web.Listen(cfg)
	if err != nil {
		return nil, err
	}
	page, err := template.New("page.html").Funcs(server.Funcs()).Funcs(funcs).ParseFS(files, "page.html")
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	feed := web.NewFeed(keepEvents)
	return &Window{server: server, feed: feed, log: web.NewLog(keepLines, feed), page: page}, nil
}

// LogHandler takes the process's log into the window, from the level on.
func (w *Window) LogHandler(level slog.Leveler) slog.Handler { return w.log.Handler(level) }

// Announce says on out where the window is, and when it is opened and closed; see web.Server.
func (w *Window) Announce(ctx context.Context, out io.Writer) { w.server.Announce(ctx, out, w.feed) }

// Close gives the address back, when Serve is not called.
func (w *Window) Close() error { return w.server.Close() }

// Serve shows n until ctx ends.
func (w *Window) Serve(ctx context.Context, n Node) error {
	v := &view{Window: w, node: n}
	w.server.Handle("GET /{$}", http.HandlerFunc(v.servePage))
	w.server.Handle("GET /state", http.HandlerFunc(v.serveState))
	w.server.Handle("GET /held/{number}", http.HandlerFunc(v.serveHeld))
	w.server.Handle("GET /events", w.feed)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { v.watch(ctx) })
	err := w.server.Serve(ctx)
	cancel()
	watching.Wait()
	return err
}

// view is a window with something to show.
type view struct {
	*Window
	node Node

	// owned by watch
	shown  uint64 // number of the last thing that was published
	status []byte // the last status that was published
}

// watch publishes what changed, while somebody looks.
func (v *view) watch(ctx context.Context) {
	held := time.NewTicker(heldEvery)
	defer held.Stop()
	status := time.NewTicker(statusEvery)
	defer status.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-held.C:
			if v.feed.Clients() > 0 {
				v.publishHeld()
			}
		case <-status.C:
			if v.feed.Clients() > 0 {
				v.publishStatus(ctx)
			}
		}
	}
}

func (v *view) publishHeld() {
	for _, h := range v.node.Held(v.shown) {
		v.shown = h.Number
		_ = v.feed.Publish("held", viewHeld(h)) // always JSON
	}
}

func (v *view) publishStatus(ctx context.Context) {
	s, err := v.node.Status(ctx)
	if err != nil {
		return // it closes, or its state failed, which the log says
	}
	view := viewStatus(s, v.node.Addrs())
	data, err := json.Marshal(view)
	if err != nil || bytes.Equal(data, v.status) {
		return
	}
	v.status = data
	_ = v.feed.Publish("status", view)
}

// state reads everything that the page shows. The number of the last event is read first, so that nothing that happens
// meanwhile is missed; what comes twice, the page knows by its number.
func (v *view) state(ctx context.Context) (state, error) {
	last := v.feed.Last()
	s, err := v.node.Status(ctx)
	if err != nil {
		return state{}, err
	}
	all := state{Last: last, Status: viewStatus(s, v.node.Addrs()), Lines: v.log.Lines(), Held: []held{}}
	for _, h := range v.node.Held(0) {
		all.Held = append(all.Held, viewHeld(h))
	}
	return all, nil
}

func (v *view) serveState(w http.ResponseWriter, r *http.Request) {
	s, err := v.state(r.Context())
	if err != nil {
		http.Error(w, "The relay node does not answer.", http.StatusServiceUnavailable)
		return
	}
	writeJSON(w, s)
}

func (v *view) servePage(w http.ResponseWriter, r *http.Request) {
	s, err := v.state(r.Context())
	if err != nil {
		http.Error(w, "The relay node does not answer.", http.StatusServiceUnavailable)
		return
	}
	s.Lines = s.Lines[max(0, len(s.Lines)-firstLines):]
	var page bytes.Buffer
	if err := v.page.Execute(&page, s); err != nil {
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page.Bytes()) // a browser that went away needs none
}

// serveHeld gives the bytes of one batch or mail, as long as it is among the latest.
func (v *view) serveHeld(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil || number == 0 {
		http.NotFound(w, r)
		return
	}
	for _, h := range v.node.Held(number - 1) {
		if h.Number == number {
			writeJSON(w, viewBytes(h))
			return
		}
	}
	http.Error(w, fmt.Sprintf("Number %d is no longer among the latest.", number), http.StatusNotFound)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // a browser that went away needs none
}
