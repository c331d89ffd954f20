package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/cmd/internal/web"
	"conclave/overlay/wire"
	"conclave/relaynode"
	"conclave/relaynode/backlog"
	"conclave/relaynode/mailbox"

	ma "github.com/multiformats/go-multiaddr"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// fakeNode shows what a test wants it to.
type fakeNode struct {
	mu     sync.Mutex
	status relaynode.Status // guarded by mu
	held   []relaynode.Held // guarded by mu
}

func (n *fakeNode) Status(context.Context) (relaynode.Status, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status, nil
}

func (n *fakeNode) Held(after uint64) (list []relaynode.Held) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.held {
		if h.Number > after {
			list = append(list, h)
		}
	}
	return list
}

func (n *fakeNode) Addrs() []ma.Multiaddr {
	return []ma.Multiaddr{ma.StringCast("/ip4/203.0.113.5/tcp/4001")}
}

func (n *fakeNode) hold(h relaynode.Held) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	h.Number, h.Time = uint64(len(n.held)+1), time.Now()
	n.held = append(n.held, h)
	return h.Number
}

// newNode returns a relay node with A here, B on the way and C away.
func newNode() *fakeNode {
	now := time.Now()
	return &fakeNode{status: relaynode.Status{
		Peer: "relay", GroupName: "local", Started: now.Add(-time.Hour), RosterVersion: 3, RosterExpires: now.Add(time.Hour),
		Members: []relaynode.MemberStatus{
			{Role: "A", Peer: "peer A", Connected: []string{"/ip4/192.0.2.1/tcp/5"}, Online: true, Since: now, InTopic: true, Reserved: true, Circuits: 2},
			{Role: "B", Peer: "peer B", Connected: []string{"/ip4/192.0.2.2/tcp/5"}},
			{Role: "C", Peer: "peer C"},
		},
		Circuits: relaynode.CircuitStats{Open: 1, Total: 7, Bytes: 2048},
		Mailbox:  mailbox.Stats{Quota: mailbox.Quota{Items: 4, Bytes: 1234}}, Backlog: backlog.Stats{Batches: 23, Bytes: 4567},
		Counts: map[string]uint64{"topic-forged": 2, "deposit-refused: over quota": 1, "quiet": 0},
	}}
}

// frameBatch is a batch with one frame, of the shape that the relay node sees.
func frameBatch() []byte {
	h := wire.FrameHeader{Sender: 1, Length: wire.ContentHeaderSize + wire.MinBody}
	frame := append(h.Append(nil), make([]byte, wire.FrameIVSize)...)
	frame = append(frame, []byte(strings.Repeat("\xc5", int(h.Length)))...)
	frame = append(frame, make([]byte, wire.FrameMACSize)...)
	b, err := wire.Batch{Kind: wire.BatchFrames, Sender: make([]byte, 32), Items: [][]byte{frame}, Signature: make([]byte, 64)}.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

// serve runs a window until the test ends and returns it with its log.
func serve(t *testing.T, n Node, cfg web.Config) (*Window, *slog.Logger) {
	t.Helper()
	w, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Serve(ctx, n) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return w, slog.New(w.LogHandler(slog.LevelDebug))
}

// visitor opens the window without a browser.
type visitor struct {
	t    *testing.T
	c    *http.Client
	base string
	page string
}

func visit(t *testing.T, w *Window) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, c: &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{}}, base: "http://" + w.server.Addr()}
	t.Cleanup(v.c.CloseIdleConnections)
	_, v.page = v.get(strings.TrimPrefix(w.server.URL(), v.base))
	return v
}

func (v *visitor) get(path string) (status int, text string) {
	v.t.Helper()
	answer, err := v.c.Get(v.base + path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func getJSON[T any](v *visitor, path string) (value T) {
	v.t.Helper()
	status, text := v.get(path)
	if status != http.StatusOK {
		v.t.Fatalf("%s gives %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		v.t.Fatalf("%s: %v", path, err)
	}
	return value
}

// The page shows its state before any script has run.
func TestPageIsRenderedByTheServer(t *testing.T) {
	w, log := serve(t, newNode(), web.Config{})
	log.Info("member online", "role", "A")
	log.Warn("<script>alert(1)</script>\u202e")
	page := visit(t, w).page
	for _, want := range []string{
		"Relay node", "local", "member online", "&lt;script&gt;alert(1)&lt;/script&gt;", `<span class="hidden-char" title="a character that cannot be seen">U&#43;202E</span>`,
		"batches with a wrong signature", "deposit refused: over quota", `<small>of 3</small>`, `data-accent="2"`,
	} {
		if !strings.Contains(page, want) && !strings.Contains(page, strings.ReplaceAll(want, "&#43;", "+")) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "\u202e") || strings.Contains(page, "style=") || strings.Contains(page, "quiet") {
		t.Error("the page shows what it must not")
	}
}

func TestStateIsWhole(t *testing.T) {
	n := newNode()
	number := n.hold(relaynode.Held{What: "frames", From: "A", Way: "topic", ID: "00ff", Data: frameBatch(), Frames: make([]wire.FrameHeader, 1)})
	w, log := serve(t, n, web.Config{})
	log.Debug("said")
	v := visit(t, w)
	s := getJSON[state](v, "/state")
	if s.Last == "" || len(s.Lines) != 1 || s.Lines[0].Text != "said" || s.Status.Online != 1 || s.Status.Refused != 3 || len(s.Status.Refusals) != 2 {
		t.Errorf("the state is %+v", s)
	}
	var words []string
	for _, m := range s.Status.Members {
		words = append(words, m.Word)
	}
	if got := fmt.Sprint(words); got != "[here connected away]" {
		t.Errorf("members are %s", got)
	}
	sealed := wire.ContentHeaderSize + wire.MinBody
	if h := s.Held[0]; h.Size != int64(len(frameBatch())) || h.Sealed != sealed || !strings.HasPrefix(h.Preview, "c5c5") {
		t.Errorf("held is %+v", h)
	}
	c := getJSON[content](v, fmt.Sprintf("/held/%d", number))
	if string(c.Data) != string(frameBatch()) || len(c.Parts) < 5 {
		t.Errorf("the bytes are %x in %d parts", c.Data, len(c.Parts))
	}
	for _, path := range []string{"/held/0", "/held/2", "/held/x", "/held/-1", "/held/99999999999999999999"} {
		if status, _ := v.get(path); status != http.StatusNotFound {
			t.Errorf("%s gives %d", path, status)
		}
	}
}

// Every count that the relay node names in its source has words here, as far as the list goes.
func TestCountsHaveWords(t *testing.T) {
	for name, want := range map[string]string{
		"topic-forged": "batches with a wrong signature", "store-refused: topic-forged": "store refused: topic-forged", "unheard of": "unheard of",
	} {
		if got := inWords(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// The window only shows: there is nothing to ask of it.
func TestNothingCanBeWished(t *testing.T) {
	w, _ := serve(t, newNode(), web.Config{})
	v := visit(t, w)
	for _, path := range []string{"/", "/state", "/events", "/held/1"} {
		answer, err := v.c.Post(v.base+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusMethodNotAllowed && answer.StatusCode != http.StatusNotFound {
			t.Errorf("POST %s gives %s", path, answer.Status)
		}
	}
}
