package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/cmd/internal/web"
	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/overlay/wire"

	"github.com/google/go-cmp/cmp"
)

// said returns the texts of the quiet lines.
func (o *open) said() (texts []string) {
	for _, e := range get[State](o, "/state").Entries {
		if e.Kind == kindNote {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func (o *open) entry(id wire.MessageID) Entry {
	o.t.Helper()
	for _, e := range get[State](o, "/state").Entries {
		if e.ID == id.String() {
			return e
		}
	}
	o.t.Fatalf("message %s is not in the timeline", id)
	return Entry{}
}

func TestHeadSaysHowThingsStand(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	s := get[State](o, "/state").Status
	want := Status{
		Self: "A", Group: "lab", Here: 2, Connection: Connection{State: "on", Words: "Connected through the relay node", Detail: s.Connection.Detail},
		Members: []Member{
			{Role: "A", Self: true, Online: true, Words: "you", Confirmed: true},
			{Role: "B", Online: true, Words: "here via relay node", Confirmed: true, Trust: "unverified"},
			{Role: "C", Words: "away", Trust: "unverified"},
		},
		Key: Key{Has: true, Fingerprint: "0123 4567 89ab cdef", Epoch: "7", Confirmed: 2, Of: 3, Words: "2 of 3 have confirmed this key", Trust: "verified"},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestConnectionInWords(t *testing.T) {
	t.Parallel()
	member := func(p node.Path) []node.MemberStatus {
		return []node.MemberStatus{{Role: "A", Online: true}, {Role: "B", Online: true, Path: p}}
	}
	for name, c := range map[string]struct {
		who   node.Who
		state string
		words string
	}{
		"nothing yet":   {node.Who{}, "wait", "Connecting"},
		"calling":       {node.Who{Links: []node.Link{{State: node.Connecting}}}, "wait", "Connecting"},
		"authenticated": {node.Who{Links: []node.Link{{State: node.Authenticated}}}, "wait", "Joining"},
		"down":          {node.Who{Links: []node.Link{{State: node.Down, Reason: "no route"}}}, "bad", "Not connected, trying again"},
		"one of two":    {node.Who{Links: []node.Link{{State: node.Down, Reason: "x"}, {State: node.Ready}}}, "on", "Connected through the relay node"},
		"and direct":    {node.Who{Self: "A", Links: []node.Link{{State: node.Ready}}, Members: member(node.Direct)}, "on", "Connected through the relay node, 1 member directly"},
		"lan alone":     {node.Who{Self: "A", Members: member(node.ViaLAN)}, "on", "Connected over the local network"},
	} {
		if got := connectionOf(c.who); got.State != c.state || got.Words != c.words {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestMessageGoesItsWay(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	id := messageID(1)
	for i, step := range []struct {
		e    node.Event
		name string
		says string
	}{
		{node.Sent{At: at(0), ID: id, State: node.Queued, Text: "hello"}, fateQueued, "Waiting to be sent"},
		{node.Sealed{At: at(1), IDs: []wire.MessageID{id}, Epoch: 7, Bytes: 300}, fateQueued, "Waiting"},
		{node.Refused{At: at(2), IDs: []wire.MessageID{id}, Reason: "disk full"}, fateFailed, "disk full"},
		{node.Sealed{At: at(3), IDs: []wire.MessageID{id}, Again: true}, fateFailed, "Not sent"},
		{node.Sent{At: at(4), ID: id, State: node.Relayed}, fateRelay, "At the relay node"},
		{node.Refused{At: at(5), IDs: []wire.MessageID{id}, Reason: "late"}, fateRelay, "At the relay node"},
		{node.Sent{At: at(6), ID: id, State: node.Delivered, By: []wire.Role{"B"}}, fateDelivered, "Delivered to 1 of 2: B"},
		{node.Sent{At: at(7), ID: id, State: node.Relayed}, fateDelivered, "Delivered to 1 of 2: B"},
		{node.Sent{At: at(8), ID: id, State: node.Delivered, By: []wire.Role{"B", "C"}}, fateEverybody, "Delivered to everybody: B and C"},
	} {
		o.Show(step.e)
		got := o.entry(id)
		if got.State.Name != step.name || !strings.Contains(got.State.Words, step.says) {
			t.Errorf("step %d: %s %q", i, got.State.Name, got.State.Words)
		}
	}
	var way []string
	for _, p := range o.entry(id).State.Way {
		way = append(way, p.Text)
	}
	want := []string{
		"queued on this machine", "sealed and published", "refused", "handed to the relay node once more", "stored by the relay node",
		"shown by B", "stored by the relay node", "shown by C",
	}
	if diff := cmp.Diff(want, way); diff != "" {
		t.Error(diff)
	}
	o.Show(node.Sent{At: at(9), ID: messageID(99), State: node.Relayed}) // of an earlier run
	if n := len(get[State](o, "/state").Entries); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestSendingOnceForEachAttempt(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	first := o.post("/send", `{"text":"hello\nworld","key":"k1"}`, http.StatusOK)
	if again := o.post("/send", `{"text":"hello\nworld","key":"k1"}`, http.StatusOK); again != first {
		t.Errorf("the same attempt: %s, then %s", first, again)
	}
	o.post("/send", `{"text":"hello\nworld","key":"k2"}`, http.StatusOK)
	if want := []string{"hello\nworld", "hello\nworld"}; !slices.Equal(o.fake.texts, want) {
		t.Errorf("sent %q", o.fake.texts)
	}
	o.post("/send", `{"text":"","key":"k3"}`, http.StatusUnprocessableEntity)
}

func TestFailedMessageIsKeptAndTriedAgain(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	o.fake.refuse = node.ErrOutboxFull
	var got receipt
	if err := json.Unmarshal([]byte(o.post("/send", `{"text":"stay","key":"k"}`, http.StatusOK)), &got); err != nil {
		t.Fatal(err)
	}
	entries := get[State](o, "/state").Entries
	if len(entries) != 1 || entries[0].ID != got.ID || entries[0].State.Name != fateFailed || entries[0].Text != "stay" || !entries[0].Own {
		t.Fatalf("%+v", entries)
	}
	o.post("/retry", fmt.Sprintf(`{"id":%q}`, got.ID), http.StatusServiceUnavailable)
	o.fake.refuse = nil
	o.post("/retry", fmt.Sprintf(`{"id":%q}`, got.ID), http.StatusOK)
	if entries := get[State](o, "/state").Entries; len(entries) != 0 || !slices.Equal(o.fake.texts, []string{"stay"}) {
		t.Errorf("afterwards %+v, sent %q", entries, o.fake.texts)
	}
	o.post("/retry", fmt.Sprintf(`{"id":%q}`, got.ID), http.StatusOK) // gone already

	id := messageID(5)
	o.Show(node.Sent{At: at(0), ID: id, State: node.Queued, Text: "x"})
	o.Show(node.Refused{At: at(1), IDs: []wire.MessageID{id}, Reason: "disk full"})
	o.post("/retry", fmt.Sprintf(`{"id":%q}`, id), http.StatusOK)
	if o.fake.retries != 1 {
		t.Errorf("node was told %d times", o.fake.retries)
	}
}

func TestQuietLines(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	clock := noon
	o.cfg.Now = func() time.Time { return clock }
	peer := func(role wire.Role, online bool) node.Peer {
		return node.Peer{At: at(0), Role: role, Online: online, Path: node.ViaRelay}
	}
	for _, e := range []node.Event{
		node.Link{At: at(0), Relay: "r", State: node.Connecting},
		node.Link{At: at(0), Relay: "r", State: node.Down, Reason: "not there"}, // it was never up: the head says it
		node.Link{At: at(0), Relay: "r", State: node.Ready},
		peer("B", true), peer("C", true), peer("C", false),
		node.SessionKey{At: at(1), Epoch: 9, Fingerprint: "feed", Contributors: []wire.Role{"A", "B"}},
		node.Link{At: at(2), Relay: "r", State: node.Down, Reason: "reset"},
		peer("B", false), // nobody can tell
		node.Link{At: at(3), Relay: "r", State: node.Ready},
		peer("B", true), // it never left
		node.Held{At: at(4)},
		node.RosterChanged{At: at(4), Version: 2, Added: []wire.Role{"D"}, Removed: []wire.Role{"C"}},
		node.Gap{At: at(5), From: "B", Epoch: 9, Frames: 3},
		node.Evidence{At: at(6), Role: "D"},
		node.CodeChanged{At: at(7), Role: "B", WasVerified: true},
		node.Problem{At: at(8), Text: "the state cannot be written", Hint: "make room on the disk"},
		node.Lagged{At: at(9), Events: 2},
	} {
		o.Show(e)
	}
	want := []string{
		"Connected to the relay node", "B is here", "C is here", "C is away", "Final session key Kabc = feed",
		"The connection to the relay node is gone; trying again", "Connected to the relay node",
		"Sending waits for a new key, because a member was removed", "D joined the group", "C left the group for good",
		"Something of B is missing and cannot be had any more", "D cheats: two different commitments for one epoch are signed by it",
		"The code of B has changed, though it had been verified", "The state cannot be written",
		"This window was too slow: 2 events were left out",
	}
	if diff := cmp.Diff(want, o.said()); diff != "" {
		t.Error(diff)
	}

	// B did not come back while nobody could tell.
	o.fake.who.Members[1].Online = false
	o.refresh(t.Context())
	if n := len(o.said()); n != len(want) {
		t.Errorf("said too early: %q", o.said()[len(want):])
	}
	clock = clock.Add(greetWait)
	o.refresh(t.Context())
	if said := o.said(); said[len(said)-1] != "B is away" {
		t.Errorf("said last: %q", said[len(said)-1])
	}
}

func TestChangedCodeIsLoud(t *testing.T) {
	t.Parallel()
	f := someone()
	f.codes[1] = node.Verification{Role: "B", Code: pairCode, Trust: node.Changed, Before: groupCode, WasVerified: true}
	o := openFake(t, f)
	s := get[State](o, "/state").Status
	if !strings.Contains(s.Alarm, "The code of B has changed, though it had been verified") || s.Members[1].Trust != "changed" {
		t.Errorf("%q, %+v", s.Alarm, s.Members)
	}
	page := o.ask(http.MethodGet, "/", "").Body.String()
	if !strings.Contains(page, "The code of B has changed") {
		t.Error("the first paint does not say so")
	}
	codes := get[[]Code](o, "/verify")
	if codes[1].Trust != "changed" || codes[1].Before != groupCode || len(codes[1].Spoken) != 11 {
		t.Errorf("%+v", codes[1])
	}
}

func TestComparingCodes(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	o.post("/verify", fmt.Sprintf(`{"role":"B","code":%q,"right":true}`, pairCode), http.StatusOK)
	o.post("/verify", fmt.Sprintf(`{"role":"","code":%q,"right":false}`, groupCode), http.StatusOK)
	o.post("/verify", `{"role":"B","code":"12345","right":true}`, http.StatusConflict)
	if want := []string{"B true", " false"}; !slices.Equal(o.fake.marked, want) {
		t.Errorf("marked %q", o.fake.marked)
	}
}

func TestHistoryIsBoundedAndPaged(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	const n = maxEntries + 500
	for i := range n {
		o.Show(node.Message{At: at(i), From: "B", ID: messageID(i), Text: fmt.Sprint(i), Sent: noon})
	}
	s := get[State](o, "/state")
	if len(s.Entries) != pageSize || !s.More || !s.Dropped || s.Entries[pageSize-1].Text != fmt.Sprint(n-1) {
		t.Fatalf("%d entries, more %v, dropped %v", len(s.Entries), s.More, s.Dropped)
	}
	total, first := len(s.Entries), s.Entries[0]
	for more := s.More; more; {
		page := get[State](o, fmt.Sprintf("/history?before=%d", first.Seq))
		if last := page.Entries[len(page.Entries)-1]; last.Seq != first.Seq-1 {
			t.Fatalf("before %d comes %d", first.Seq, last.Seq)
		}
		total += len(page.Entries)
		first, more = page.Entries[0], page.More
	}
	if total != maxEntries {
		t.Errorf("%d entries in all", total)
	}
	o.Show(node.Message{At: at(n), From: "B", ID: wire.MessageID{1}, Text: strings.Repeat("x", maxBytes), Sent: noon})
	if got := len(o.timeline.entries); got != 1 || len(o.timeline.byID) != 1 {
		t.Errorf("after a very large message %d entries, %d by ID", got, len(o.timeline.byID))
	}
}

func TestReloadShowsTheSame(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	o.Show(node.Message{At: at(1), From: "B", ID: messageID(1), Text: "first", Sent: noon})
	o.Show(node.Sent{At: at(2), ID: messageID(2), State: node.Queued, Text: "second"})
	before, page := get[State](o, "/state"), o.ask(http.MethodGet, "/", "").Body.String()
	if diff := cmp.Diff(before, get[State](o, "/state"), cmp.AllowUnexported(Fate{})); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(page, "first") || !strings.Contains(page, "second") || !strings.Contains(page, `data-fate="queued"`) {
		t.Error("the first paint lacks a message")
	}
}

func TestDiagnosticsHoldNoMessage(t *testing.T) {
	t.Parallel()
	f := someone()
	f.in = node.Inspection{At: at(0), Who: f.who, Certificates: []node.CertificateView{{Kind: "member", Role: "B", Checks: []node.Check{{Rule: "is fine", Why: "not"}}}}}
	o := openFake(t, f)
	o.Show(node.Message{At: at(1), From: "B", ID: messageID(1), Text: "a private remark", Sent: noon})
	o.Show(node.Sent{At: at(2), ID: messageID(2), State: node.Queued, Text: "another private remark"})
	o.Show(node.Link{At: at(3), Relay: "r", State: node.Down, Reason: "no route to host"})
	text := o.ask(http.MethodGet, "/diagnostics", "").Body.String()
	for _, want := range []string{"no route to host", "a loud line", "a quiet line n=1", "0123 4567 89ab cdef", "member             B"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, secret := range []string{"private", groupCode, pairCode, words.Spoken(pairCode)[3]} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in it", secret)
		}
	}
}

func TestDrawerSaysWhatHappened(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	for _, e := range []node.Event{
		node.LinkStep{At: at(0), Step: node.StepHandshake, Detail: "database 12"},
		node.ShareEvent{At: at(1), Of: "B", Peer: "B", Way: node.ByCircuit, Received: true, Bytes: 900},
		node.ShareEvent{At: at(2), Of: "B", Peer: "C", Way: node.ByMailbox, Received: true},
		node.ShareEvent{At: at(3), Of: "A", Peer: "C", Way: node.ByMailbox, OK: true},
		node.ShareEvent{At: at(4), Of: "A", Peer: "B", Way: node.ByDirect, OK: true},
		node.ShareEvent{At: at(5), Of: "A", Peer: "B", Way: node.ByMailbox},
		node.Confirmed{At: at(6), Role: "B", Epoch: 7},
	} {
		o.Show(e)
	}
	d := get[Drawer](o, "/inspect")
	var texts []string
	for _, s := range d.Trace {
		texts = append(texts, s.Text)
	}
	want := []string{
		"B has proved to hold the key", "The share for B could not be left by mailbox; it is tried again", "B took a share of A over a direct connection",
		"A share of A waits for C in its mailbox", "B's share came by mailbox, handed on by C", "B's share came through a circuit",
		"Certificates shown, fresh nonces signed on both sides",
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Error(diff)
	}
	if len(d.Shares) != 5 || d.Epochs == nil || d.Links == nil || d.Ways == nil {
		t.Errorf("%+v", d)
	}
	for range 2 * maxTrace {
		o.Show(node.Confirmed{At: at(7), Role: "B"})
	}
	if n := len(o.trace); n > maxTrace {
		t.Errorf("%d steps are kept", n)
	}
}

func TestLogByLevel(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	all, warn := get[[]web.Line](o, "/log?level=debug"), get[[]web.Line](o, "/log?level=warn")
	if len(all) != 2 || len(warn) != 1 || all[0].Text != "a loud line" || warn[0].Text != "a loud line" {
		t.Errorf("%+v, %+v", all, warn)
	}
}

func TestTextsOfOthersAreSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain <b>text</b>":                "plain <b>text</b>",
		"two\nlines\tand tab":              "two\nlines\tand tab",
		"\u202ereversed":                   "[U+202E]reversed",
		"esc \x1b[31m":                     "esc [U+001B][31m",
		"zero\u200bwidth":                  "zero[U+200B]width",
		"\U0001f469\u200d\U0001f4bb works": "\U0001f469\u200d\U0001f4bb works",
		"a\u200db":                         "a[U+200D]b",
		"می\u200cخواهم":                    "می\u200cخواهم",
		"crlf\r\nend":                      "crlf\nend",
		"\u2066isolate\u2069 end":          "[U+2066]isolate[U+2069] end",
	} {
		var b strings.Builder
		for _, p := range lines(text) {
			if p.Hidden {
				b.WriteString("[" + p.Text + "]")
			} else {
				b.WriteString(p.Text)
			}
		}
		if b.String() != want {
			t.Errorf("%q: %q, want %q", text, b.String(), want)
		}
	}
}

func TestNodeThatEndsIsNoNews(t *testing.T) {
	t.Parallel()
	o := openFake(t, someone())
	if _, words := blame(errors.Join(errors.New("x"), node.ErrClosed)); words != "The program is ending." {
		t.Errorf("%q", words)
	}
	last := o.feed.Last()
	o.refresh(t.Context()) // nothing changed: nothing is said
	if o.feed.Last() != last {
		t.Error("a status without news was published")
	}
}
