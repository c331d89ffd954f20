package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// roles are the members of the demonstration.
var roles = []string{"A", "B", "C"}

// event is what the demo reads of a member's --ui json lines.
type event struct {
	Event        string   `json:"event"`
	ID           string   `json:"id"`
	Fingerprint  string   `json:"fingerprint"`
	Contributors []string `json:"contributors"`
	From         string   `json:"from"`
	Text         string   `json:"text"`
}

// parseEvent reads one line of a member. What is not an event is an empty one.
func parseEvent(line string) event {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		return event{}
	}
	return e
}

// agreement finds out when all members hold one key to which all contributed.
type agreement struct {
	holders map[[2]string][]string // (epoch ID, fingerprint) -> roles that hold it
}

// add records that role reported the key in e, and returns its fingerprint when role is the last of all to hold it.
func (a *agreement) add(role string, e event) (fingerprint string, all bool) {
	contributors := slices.Sorted(slices.Values(e.Contributors))
	if e.Event != "session_key" || !slices.Equal(contributors, roles) {
		return "", false
	}
	if a.holders == nil {
		a.holders = make(map[[2]string][]string)
	}
	key := [2]string{e.ID, e.Fingerprint}
	if slices.Contains(a.holders[key], role) {
		return "", false
	}
	a.holders[key] = append(a.holders[key], role)
	return e.Fingerprint, len(a.holders[key]) == len(roles)
}

// orders are what can be typed about one of the four.
var orders = []string{"stop", "start", "restart"}

// errTyped is returned for a typed line that says nobody what to do.
var errTyped = errors.New("type A: hello, B: hello or C: hello; or stop, start or restart and A, B, C or relay")

// parseTyped reads a typed line as a member's name and its text ("A: hello"), or as an order and whom it is about
// ("stop B").
func parseTyped(line string) (who, text string, err error) {
	if words := strings.Fields(line); len(words) == 2 && slices.Contains(orders, words[0]) {
		if words[1] == relayName || slices.Contains(roles, words[1]) {
			return words[0], words[1], nil
		}
		return "", "", errTyped
	}
	who, text, ok := strings.Cut(line, ":")
	who, text = strings.TrimSpace(who), strings.TrimSpace(text)
	if !ok || text == "" || !slices.Contains(roles, who) {
		return "", "", errTyped
	}
	return who, text, nil
}

// sendLine is the line on a member's stdin that sends text.
func sendLine(text string) string {
	line, err := json.Marshal(map[string]string{"send": text})
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(line)
}

// received is the line that says that role received e, safe to print on a terminal whatever the sender wrote.
func received(role string, e event) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.ReplaceAll(e.Text, "\n", " / "))
	return fmt.Sprintf("%s <- %s: %s", role, e.From, clean)
}
