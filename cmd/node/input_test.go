package main

import (
	"strings"
	"testing"
)

func TestParseRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line    string
		send    string
		command string
	}{
		{`{"send":"a"}`, "a", ""},
		{` {"send": ""} `, "", ""},
		{`{"command":"who"}`, "", "who"},
	} {
		r, err := parseRequest(c.line)
		if err != nil || r.command != c.command || r.send != nil && *r.send != c.send || (r.send == nil) != (c.command != "") {
			t.Errorf("%s: %+v, %v", c.line, r, err)
		}
	}
	for line, want := range map[string]string{
		`hello`:                           "no JSON object",
		`["send"]`:                        "no JSON object",
		`{"text":"a"}`:                    `"text" is not known`,
		`{"Send":"a"}`:                    `"Send" is not known`,
		`{"send":"a","send":"b"}`:         `"send" is there twice`,
		`{"send":"a"}{"send":"b"}`:        "more than one object",
		`{"send":"a"} x`:                  "more than one object",
		`{"send":"a","command":"who"}`:    "or both",
		`{}`:                              "no text and no command",
		`{"send":1}`:                      `"send": json`,
		`{"send":"a"`:                     "EOF",
		`{"send":"a",}`:                   "invalid character",
		`{"send":"a","extra":{"send":1}}`: `"extra" is not known`,
	} {
		if _, err := parseRequest(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", line, err, want)
		}
	}
}
