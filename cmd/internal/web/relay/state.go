package relay

import (
	"encoding/hex"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"conclave/cmd/internal/web"
	"conclave/relaynode"

	ma "github.com/multiformats/go-multiaddr"
)

// state is everything that the page shows.
type state struct {
	Last   string     `json:"last"` // number of the last event that is in here
	Status status     `json:"status"`
	Lines  []web.Line `json:"lines"`
	Held   []held     `json:"held"`
}

type status struct {
	Group         string    `json:"group"`
	GroupID       string    `json:"groupId"`
	Peer          string    `json:"peer"`
	Addrs         []string  `json:"addrs"`
	Database      string    `json:"database"`
	RosterVersion uint64    `json:"rosterVersion"`
	RosterExpires time.Time `json:"rosterExpires"`
	Started       time.Time `json:"started"`
	Connections   int       `json:"connections"`
	Online        int       `json:"online"`
	Circuits      circuits  `json:"circuits"`
	Mailbox       store     `json:"mailbox"`
	Backlog       store     `json:"backlog"`
	Members       []member  `json:"members"`
	Refusals      []counted `json:"refusals"`
	Refused       uint64    `json:"refused"`
}

type circuits struct {
	Open     int    `json:"open"`
	Reserved int    `json:"reserved"`
	Total    uint64 `json:"total"`
	Bytes    int64  `json:"bytes"`
}

type store struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

type member struct {
	Role     string    `json:"role"`
	Peer     string    `json:"peer"`
	Addrs    []string  `json:"addrs"` // of its connections
	Online   bool      `json:"online"`
	Since    time.Time `json:"since"`
	InTopic  bool      `json:"inTopic"`
	Reserved bool      `json:"reserved"`
	Circuits int       `json:"circuits"`
	Steps    []step    `json:"steps"`
	Word     string    `json:"word"` // how far it has come, in a word
	Kind     string    `json:"kind"` // of the state: on, wait, off
}

// step is one of the things a member reaches one after the other.
type step struct {
	Name string `json:"name"`
	Done bool   `json:"done"`
}

// counted is a refusal, a drop or a closed connection.
type counted struct {
	Name  string `json:"name"`
	Words string `json:"words"`
	Count uint64 `json:"count"`
}

func viewStatus(s relaynode.Status, addrs []ma.Multiaddr) status {
	v := status{
		Group: s.GroupName, GroupID: s.Group.String(), Peer: s.Peer.String(), Addrs: []string{}, Database: s.Database.String(),
		RosterVersion: s.RosterVersion, RosterExpires: s.RosterExpires, Started: s.Started, Connections: s.Connections,
		Circuits: circuits{Open: s.Circuits.Open, Reserved: s.Circuits.Reserved, Total: s.Circuits.Total, Bytes: int64(s.Circuits.Bytes)},
		Mailbox:  store{Count: s.Mailbox.Items, Bytes: s.Mailbox.Bytes},
		Backlog:  store{Count: s.Backlog.Batches, Bytes: s.Backlog.Bytes},
		Members:  []member{}, Refusals: []counted{},
	}
	for _, a := range addrs {
		v.Addrs = append(v.Addrs, a.String())
	}
	for _, m := range s.Members {
		if m.Online {
			v.Online++
		}
		v.Members = append(v.Members, viewMember(m))
	}
	for name, n := range s.Counts {
		if n > 0 {
			v.Refusals = append(v.Refusals, counted{Name: name, Words: inWords(name), Count: n})
			v.Refused += n
		}
	}
	slices.SortFunc(v.Refusals, func(a, b counted) int { return strings.Compare(a.Name, b.Name) })
	return v
}

func viewMember(m relaynode.MemberStatus) member {
	v := member{
		Role: string(m.Role), Peer: m.Peer.String(), Addrs: append([]string{}, m.Connected...), Online: m.Online, Since: m.Since,
		InTopic: m.InTopic, Reserved: m.Reserved, Circuits: m.Circuits, Word: "away", Kind: "off",
	}
	connected := len(m.Connected) > 0
	v.Steps = []step{{"admitted", true}, {"connected", connected}, {"authenticated", m.Online}, {"in the topic", m.InTopic}, {"reachable", m.Reserved}}
	switch {
	case m.Online && m.InTopic:
		v.Word, v.Kind = "here", "on"
	case m.Online:
		v.Word, v.Kind = "authenticated", "wait"
	case connected:
		v.Word, v.Kind = "connected", "wait"
	}
	return v
}

// held is one batch or mail without its bytes.
type held struct {
	Number  uint64    `json:"number"`
	Time    time.Time `json:"time"`
	Way     string    `json:"way"`
	What    string    `json:"what"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	ID      string    `json:"id"`
	Size    int64     `json:"size"`
	Sealed  int       `json:"sealed"`  // bytes that only members can read
	Preview string    `json:"preview"` // the first of those in hex; of all bytes when none are sealed
	Frames  int       `json:"frames"`
}

// previewBytes is how many bytes a list shows. Arbitrary: a line of them.
const previewBytes = 32

func viewHeld(h relaynode.Held) held {
	v := held{
		Number: h.Number, Time: h.Time, Way: h.Way, What: h.What, From: string(h.From), To: string(h.To), ID: h.ID, Size: int64(len(h.Data)),
		Frames: len(h.Frames),
	}
	first := 0
	for _, p := range h.Parts() {
		if p.Sealed {
			if v.Sealed == 0 {
				first = p.From
			}
			v.Sealed += p.To - p.From
		}
	}
	v.Preview = hex.EncodeToString(h.Data[first:min(first+previewBytes, len(h.Data))])
	return v
}

// content is the bytes of a batch or mail.
type content struct {
	held
	Data  []byte `json:"data"`
	Parts []part `json:"parts"`
}

type part struct {
	Name   string `json:"name"`
	From   int    `json:"from"`
	To     int    `json:"to"`
	Sealed bool   `json:"sealed"`
}

func viewBytes(h relaynode.Held) content {
	c := content{held: viewHeld(h), Data: h.Data, Parts: []part{}}
	for _, p := range h.Parts() {
		c.Parts = append(c.Parts, part(p))
	}
	return c
}

// words say what the relay node's counters count.
var words = map[string]string{
	"append-queue-full":          "batches that came faster than the disk takes them",
	"append-failed":              "batches that the disk did not take",
	"event-queue-full":           "events that a screen was too slow for",
	"topic-malformed":            "batches without the shape of one",
	"topic-forged":               "batches with a wrong signature",
	"topic-stranger":             "batches by somebody outside the roster",
	"connection-not-in-roster":   "connections of strangers closed",
	"connection-no-handshake":    "connections closed that did not authenticate",
	"connection-revoked":         "connections of former members closed",
	"connection-newly-in-roster": "connections of new members closed once, to greet them anew",
	"session-too-slow":           "sessions closed that did not read",
	"session-replaced":           "sessions replaced by a newer one",
	"handshake-refused":          "handshakes refused",
	"circuit-reserve":            "reservations of strangers refused",
	"circuit-connect":            "circuits of strangers refused",
	"roster-conflict":            "second rosters of one version refused",
	"roster-refused":             "rosters refused",
	"delivery-window-stall":      "mails that were not acknowledged in time",
	"stored-notice-queue":        "acknowledgements that a member was too slow for",
}

// inWords says what a counter counts.
func inWords(name string) string {
	if w := words[name]; w != "" {
		return w
	}
	if what, reason, ok := strings.Cut(name, "-refused: "); ok {
		return fmt.Sprintf("%s refused: %s", what, reason)
	}
	return name
}

// funcs are what this page's template needs beside those of package web.
var funcs = template.FuncMap{
	"size": size,
	"short": func(s string) string {
		if len(s) <= 12 {
			return s
		}
		return s[:4] + "…" + s[len(s)-6:]
	},
}

// size says how much that is, as bytes() of dom.js does.
func size(n int64) string {
	switch f := float64(n); {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<10:
		return fmt.Sprintf("%.1f KiB", f/(1<<10))
	case n < 1<<20:
		return fmt.Sprintf("%.0f KiB", f/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", f/(1<<20))
	}
}
