package main

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestTypedLines(t *testing.T) {
	for line, want := range map[string][2]string{
		"A: hello":        {"A", "hello"},
		"  B :x: y ":      {"B", "x: y"},
		"C:/rekey please": {"C", "/rekey please"},
		"stop B":          {"stop", "B"},
		" restart  relay": {"restart", "relay"},
		"A: stop B":       {"A", "stop B"},
	} {
		role, text, err := parseTyped(line)
		if err != nil || role != want[0] || text != want[1] {
			t.Errorf("%q: %q, %q, %v", line, role, text, err)
		}
	}
	for _, line := range []string{"", "hello", "D: hello", "a: hello", "A:", "A:  ", ": hello", "stop", "stop D", "stop relay now", "relay: hello", "go A"} {
		if _, _, err := parseTyped(line); !errors.Is(err, errTyped) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestSendLineIsOneJSONLine(t *testing.T) {
	const text = "a \"quoted\"\nline \u2028 end"
	line := sendLine(text)
	var got struct{ Send string }
	if err := json.Unmarshal([]byte(line), &got); err != nil || got.Send != text {
		t.Fatalf("%q, %v", got.Send, err)
	}
	for _, r := range line {
		if r == '\n' {
			t.Fatal("the line is broken in two")
		}
	}
}

func TestReceivedIsSafeOnATerminal(t *testing.T) {
	e := event{From: "A", Text: "one\ntwo \x1b[31mred\x07 \u202e"}
	if got, want := received("B", e), "B <- A: one / two \ufffd[31mred\ufffd \ufffd"; got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

func TestAgreementNeedsAllThreeAndOneKey(t *testing.T) {
	key := func(id, fingerprint string, contributors ...string) event {
		return event{Event: "session_key", ID: id, Fingerprint: fingerprint, Contributors: contributors}
	}
	var a agreement
	for i, step := range []struct {
		role string
		e    event
		want string
	}{
		{"A", key("1", "f1", "A", "B"), ""},
		{"B", key("1", "f1", "A", "B"), ""},
		{"C", key("1", "f1", "A", "B"), ""}, // all hold it, but C gave nothing
		{"A", key("2", "f2", "A", "B", "C"), ""},
		{"A", key("2", "f2", "A", "B", "C"), ""},
		{"B", key("2", "other", "C", "B", "A"), ""}, // one epoch, another key
		{"C", key("2", "f2", "A", "B", "C"), ""},
		{"C", event{Event: "confirmed", ID: "2", Fingerprint: "f2"}, ""},
		{"B", key("2", "f2", "C", "B", "A"), "f2"},
		{"B", key("2", "f2", "A", "B", "C"), ""}, // once only
	} {
		got, all := a.add(step.role, step.e)
		if all != (step.want != "") || all && got != step.want {
			t.Errorf("step %d: %q, %v", i, got, all)
		}
	}
}

func TestForeignLinesAreNoEvents(t *testing.T) {
	for _, line := range []string{"", "relay address: x", `{"event":`, `["event"]`} {
		if e := parseEvent(line); e.Event != "" {
			t.Errorf("%q was read as %q", line, e.Event)
		}
	}
	if e := parseEvent(`{"event":"message","from":"A","text":"hi","more":1}`); e.From != "A" || e.Text != "hi" {
		t.Errorf("%+v", e)
	}
}
