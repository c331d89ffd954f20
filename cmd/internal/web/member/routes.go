package member

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"

	"conclave/cmd/internal/web"
	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/overlay/wire"
)

//go:embed page.html
var pageText string

//go:embed assets
var embedded embed.FS

// files are the files of the page.
func files() fs.FS {
	sub, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// Listen takes an address for the window, as web.Listen does, with the page's files.
func Listen(cfg web.Config) (*web.Server, error) {
	cfg.Assets = append(cfg.Assets, files())
	return web.Listen(cfg)
}

// Mount adds the window's routes to a server that Listen made.
func (w *Window) Mount(s *web.Server) error {
	funcs := s.Funcs()
	funcs["lines"], funcs["initial"] = lines, initial
	page, err := template.New("page").Funcs(funcs).Parse(pageText)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	s.Handle("GET /{$}", http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		var text bytes.Buffer
		if err := page.Execute(&text, w.state(firstPaint)); err != nil {
			w.cfg.Log.Error("the page cannot be made", "err", err)
			http.Error(out, "The page cannot be made.", http.StatusInternalServerError)
			return
		}
		out.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = out.Write(text.Bytes()) // a browser that is gone needs no answer
	}))
	s.Handle("GET /events", w.feed)
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /state":       func(out http.ResponseWriter, _ *http.Request) { answer(out, w.state(pageSize), nil) },
		"GET /history":     w.serveHistory,
		"GET /inspect":     w.serveInspect,
		"GET /log":         w.serveLog,
		"GET /diagnostics": w.serveDiagnostics,
		"GET /verify":      w.serveCodes,
		"POST /verify":     w.serveVerify,
		"POST /send":       w.serveSend,
		"POST /retry":      w.serveRetry,
		"POST /rekey":      w.serveRekey,
	} {
		s.Handle(pattern, limited(handle))
	}
	return nil
}

// firstPaint is how many entries the page has before any script has run.
const firstPaint = 60

// limited bounds how long the node is waited for.
func limited(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		next(w, r.WithContext(ctx))
	})
}

// answer writes a value as JSON, or what went wrong in plain words.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		status, text := blame(err)
		http.Error(w, text, status)
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "This cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(text) // a browser that is gone needs no answer
}

// errRequest is returned for a request that the page does not make.
var errRequest = errors.New("the request is not one that this window makes")

// blame returns the status and the words for an error.
func blame(err error) (int, string) {
	switch {
	case errors.Is(err, errRequest):
		return http.StatusBadRequest, "This request is not one that the window makes."
	case errors.Is(err, node.ErrText):
		return http.StatusUnprocessableEntity, "A message is 1 to 32,768 bytes of text."
	case errors.Is(err, node.ErrCodeChanged):
		return http.StatusConflict, "The code has changed meanwhile. Compare the new one."
	case errors.Is(err, node.ErrOutboxFull):
		return http.StatusServiceUnavailable, "Too many messages wait to be sent already."
	case errors.Is(err, node.ErrClosed), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "The program is ending."
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "The program does not answer."
	}
	return http.StatusInternalServerError, sentence(err.Error())
}

// wish reads what a person wants.
func wish[T any](r *http.Request) (v T, err error) {
	if r.Header.Get("Content-Type") != "application/json" {
		return v, errRequest
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || d.More() {
		return v, errRequest
	}
	return v, nil
}

func (w *Window) serveHistory(out http.ResponseWriter, r *http.Request) {
	before, err := strconv.ParseUint(r.URL.Query().Get("before"), 10, 64)
	if err != nil {
		answer(out, nil, errRequest)
		return
	}
	w.mu.Lock()
	entries, more := w.timeline.page(before, pageSize)
	dropped := w.timeline.dropped
	w.mu.Unlock()
	answer(out, State{Entries: entries, More: more, Dropped: dropped}, nil)
}

func (w *Window) serveLog(out http.ResponseWriter, r *http.Request) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(r.URL.Query().Get("level"))); err != nil {
		answer(out, nil, errRequest)
		return
	}
	answer(out, w.lines(least), nil)
}

func (w *Window) serveDiagnostics(out http.ResponseWriter, r *http.Request) {
	text, err := w.diagnostics(r.Context())
	if err != nil {
		answer(out, nil, err)
		return
	}
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = out.Write([]byte(text)) // a browser that is gone needs no answer
}

// sendWish is a message to send. Key names the attempt: the same key is sent once, however often it is asked for.
type sendWish struct {
	Text string `json:"text"`
	Key  string `json:"key"`
}

// receipt answers a sendWish.
type receipt struct {
	ID string `json:"id"`
}

func (w *Window) serveSend(out http.ResponseWriter, r *http.Request) {
	v, err := wish[sendWish](r)
	if err != nil || len(v.Key) > 64 {
		answer(out, nil, errRequest)
		return
	}
	id, err := w.send(v)
	answer(out, receipt{id}, err)
}

// send sends a message once for each key. What node does not take now is kept as a failed message, to be tried again.
func (w *Window) send(v sendWish) (id string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id, done := w.keys[v.Key]; done && v.Key != "" {
		return id, nil
	}
	sent, err := w.cfg.Node.Send(v.Text)
	switch {
	case err == nil:
		id = sent.String()
	case errors.Is(err, node.ErrText):
		return "", err
	default:
		id = w.failed(v.Text, err)
	}
	w.remember(v.Key, id)
	return id, nil
}

// remember keeps the key of an attempt; the caller holds mu.
func (w *Window) remember(key, id string) {
	if key == "" {
		return
	}
	w.keys[key] = id
	w.keyRing = append(w.keyRing, key)
	if len(w.keyRing) > maxKeys {
		delete(w.keys, w.keyRing[0])
		w.keyRing = w.keyRing[1:]
	}
}

// failed puts a message that could not be queued into the timeline; the caller holds mu.
func (w *Window) failed(text string, err error) (id string) {
	w.failures++
	_, why := blame(err)
	now := w.cfg.Now()
	e := &Entry{
		Kind: kindMessage, Time: now, Sent: now, Text: text, ID: fmt.Sprintf("failed-%d", w.failures), From: w.cfg.Self, Own: true,
		State: &Fate{Name: fateFailed, why: why, Way: []WayPoint{{Time: now, Text: "not taken", Detail: why}}},
	}
	e.State.say(w.others())
	w.add(e)
	return e.ID
}

// retryWish names a message to try again.
type retryWish struct {
	ID string `json:"id"`
}

func (w *Window) serveRetry(out http.ResponseWriter, r *http.Request) {
	v, err := wish[retryWish](r)
	if err == nil {
		err = w.retry(r.Context(), v.ID)
	}
	answer(out, struct{}{}, err)
}

// retry tries a failed message again: one that was never queued is queued now, the others are given to the relay node.
func (w *Window) retry(ctx context.Context, id string) error {
	w.mu.Lock()
	e := w.timeline.byID[id]
	if e == nil || e.State == nil || e.State.Name != fateFailed {
		w.mu.Unlock()
		return nil // it has gone meanwhile
	}
	if len(id) < len("failed-") || id[:len("failed-")] != "failed-" {
		w.mu.Unlock()
		return w.cfg.Node.Retry(ctx)
	}
	defer w.mu.Unlock()
	if _, err := w.cfg.Node.Send(e.Text); err != nil {
		return err
	}
	w.timeline.remove(e)
	w.publish("gone", retryWish{id})
	return nil
}

func (w *Window) serveRekey(out http.ResponseWriter, r *http.Request) {
	_, err := wish[struct{}](r)
	if err == nil {
		err = w.cfg.Node.Rekey(r.Context())
	}
	answer(out, struct{}{}, err)
}

// Code is a code to compare, as the page shows it.
type Code struct {
	Role   wire.Role `json:"role"` // empty: the group
	Title  string    `json:"title"`
	Digits string    `json:"digits"`
	Spoken []string  `json:"spoken"`
	Trust  string    `json:"trust"`
	Words  string    `json:"words"`
	Before string    `json:"before"`
}

func (w *Window) serveCodes(out http.ResponseWriter, r *http.Request) {
	list, err := w.cfg.Node.Verifications(r.Context())
	codes := make([]Code, 0, len(list))
	for _, v := range list {
		codes = append(codes, codeOf(v))
	}
	answer(out, codes, err)
}

func codeOf(v node.Verification) Code {
	c := Code{
		Role: v.Role, Title: "With " + string(v.Role), Digits: v.Code, Spoken: words.Spoken(v.Code), Trust: string(v.Trust), Before: v.Before,
	}
	if v.Role == "" {
		c.Title = "The group"
	}
	switch v.Trust {
	case node.Verified:
		c.Words = "Verified on " + dated(v.Since)
	case node.Changed:
		c.Words = changedWords(v.Role, v.WasVerified) + ". Compare it again."
	default:
		c.Words = "Not compared yet"
	}
	return c
}

// verifyWish is what a person found when comparing a code.
type verifyWish struct {
	Role  wire.Role `json:"role"`
	Code  string    `json:"code"`
	Right bool      `json:"right"`
}

func (w *Window) serveVerify(out http.ResponseWriter, r *http.Request) {
	v, err := wish[verifyWish](r)
	if err == nil {
		err = w.cfg.Node.Verify(r.Context(), v.Role, v.Code, v.Right)
	}
	w.changed()
	answer(out, struct{}{}, err)
}
