package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"conclave/cmd/internal/cli"
	"conclave/cmd/internal/inert"
	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/pki"
)

// maxLine is the longest line of input in bytes: the longest text with every character escaped in json.
const maxLine = 256 << 10

// inputEnd says how the input ended.
type inputEnd int

const (
	inputEOF  inputEnd = iota // there is no more
	inputQuit                 // somebody asked to leave
)

// errQuit is returned by a line that asks to leave.
var errQuit = errors.New("quit")

// screen is the printer, shared by events and commands.
type screen struct {
	mu      sync.Mutex
	printer printer
}

func (s *screen) print(e node.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printer.print(e)
}

func (s *screen) who(w node.Who) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printer.who(w)
}

// newPrinter returns the printer that the flags ask for.
func newPrinter(env *cli.Env, f flags) (printer, error) {
	switch f.ui {
	case "auto", "plain":
		return &plainPrinter{out: env.Out, aside: env.Err, log: env.Log, showKey: f.showKey}, nil
	case "json":
		return &jsonPrinter{out: env.Out, showKey: f.showKey}, nil
	case "web":
		return &webPrinter{plainPrinter{out: env.Out, aside: env.Err, log: env.Log, showKey: f.showKey}}, nil
	case "tui":
		return nil, cli.WithHint(cli.Usagef("--ui %s is not in this version", f.ui), "use --ui plain or --ui json")
	}
	return nil, cli.WithHint(cli.Usagef("--ui %q is not known", f.ui), "use --ui auto, tui, plain, json or web")
}

// read does what each line of input says, until there is none.
func (s *session) read(ctx context.Context) inputEnd {
	in := bufio.NewReaderSize(s.env.In, maxLine)
	for {
		line, err := readLine(in)
		if err == nil && ctx.Err() == nil {
			err = s.line(ctx, line)
			if err != nil && !errors.Is(err, errQuit) {
				s.complain(err)
				continue
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, errTooLong):
			s.complain(err)
		case errors.Is(err, errQuit):
			return inputQuit
		default:
			return inputEOF
		}
	}
}

var errTooLong = fmt.Errorf("a line of input is longer than %d bytes", maxLine)

// readLine returns the next line without its end. A line that is too long is read to its end and is errTooLong.
func readLine(in *bufio.Reader) (string, error) {
	line, more, err := in.ReadLine()
	if err != nil {
		return "", err
	}
	text := string(line)
	if !more {
		return text, nil
	}
	for more && err == nil {
		_, more, err = in.ReadLine()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return "", errTooLong
}

func (s *session) line(ctx context.Context, line string) error {
	if s.json {
		return s.jsonLine(ctx, line)
	}
	return s.plainLine(ctx, line)
}

// complain says on the screen what is wrong with a line, and counts it: whoever sent the line may read exit codes only.
func (s *session) complain(err error) {
	s.refused++
	if s.json {
		e := node.Problem{At: node.At{Time: time.Now()}, Text: err.Error()}
		if h := interface{ Hint() string }(nil); errors.As(err, &h) {
			e.Hint = h.Hint()
		}
		_ = s.screen.print(e) // a gone output ends the run elsewhere
		return
	}
	s.env.Log.Warn(err.Error())
}

// refusal is the error of a run whose input held lines that were refused, unless a person saw that on a terminal.
func (s *session) refusal() error {
	if in, ok := s.env.In.(*os.File); s.refused == 0 || ok && cli.IsTerminal(in) {
		return nil
	}
	return fmt.Errorf("lines of input that were refused, and not sent: %d", s.refused)
}

// plainLine sends a line or does what its command says.
func (s *session) plainLine(ctx context.Context, line string) error {
	line = strings.ToValidUTF8(line, "\ufffd")
	switch {
	case strings.TrimSpace(line) == "":
		return nil
	case strings.HasPrefix(line, "//"):
		line = line[1:]
	case strings.HasPrefix(line, "/"):
		return s.command(ctx, strings.TrimSpace(line[1:]))
	}
	_, err := s.node.SendWait(ctx, line)
	return err
}

// request is one line of json input.
type request struct {
	send    *string
	command string
}

// requestForms is what a line of json input may be.
const requestForms = `a line of input is one object, {"send":"text"} or {"command":"name"}`

// parseRequest reads a line of json input. It is strict: of a line that is not exactly one request nothing is done, since
// whoever wrote it meant something else.
func parseRequest(line string) (r request, err error) {
	wrong := func(format string, args ...any) (request, error) {
		return request{}, cli.WithHint(fmt.Errorf("a line of input is not a request: "+format, args...), requestForms)
	}
	d := json.NewDecoder(strings.NewReader(line))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return wrong("it is no JSON object")
	}
	seen := make(map[string]bool)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return wrong("%w", err)
		}
		key, _ := token.(string) // the decoder lets nothing else stand there
		if seen[key] {
			return wrong("the key %q is there twice", key)
		}
		seen[key] = true
		switch key {
		case "send":
			r.send = new(string)
			err = d.Decode(r.send)
		case "command":
			err = d.Decode(&r.command)
		default:
			return wrong("the key %q is not known", key)
		}
		if err != nil {
			return wrong("%q: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return wrong("%w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return wrong("there is more than one object on it")
	}
	if (r.send == nil) == (r.command == "") {
		return wrong("it names no text and no command, or both")
	}
	return r, nil
}

func (s *session) jsonLine(ctx context.Context, line string) error {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	r, err := parseRequest(line)
	if err != nil {
		return err
	}
	if r.send == nil {
		return s.command(ctx, r.command)
	}
	_, err = s.node.SendWait(ctx, *r.send)
	return err
}

const help = `/who      members, who is there and who holds the key
/rekey    agree on a new key
/verify   codes to compare with the others, by voice or in person
/quit     send what waits, then leave
/help     this list
//text    send a line that begins with /
`

// command does what a command line or a json command says.
func (s *session) command(ctx context.Context, name string) error {
	switch name {
	case "who":
		w, err := s.node.Who(ctx)
		if err != nil {
			return err
		}
		return s.screen.who(w)
	case "verify":
		w, err := s.node.Who(ctx)
		if err != nil {
			return err
		}
		if s.json {
			return s.screen.who(w)
		}
		return s.aside(codes(w))
	case "rekey":
		return s.node.Rekey(ctx)
	case "quit":
		return errQuit
	case "help":
		return s.aside(help)
	}
	return fmt.Errorf("the command %q is not known; /help lists them", inert.Line(name))
}

// aside writes what a command asked for: not to stdout, which carries the contract's lines only.
func (s *session) aside(text string) error {
	_, err := io.WriteString(s.env.Err, text)
	return err
}

// describe is what /who shows.
func describe(w node.Who) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in group %s, roster %d", w.Self, w.Group, w.RosterVersion)
	if w.Fingerprint != "" {
		fmt.Fprintf(&b, ", Kabc = %s", w.Fingerprint)
	} else {
		b.WriteString(", no key yet")
	}
	if w.Waiting > 0 {
		fmt.Fprintf(&b, ", %s not sent yet", words.Count(w.Waiting, "message", "messages"))
	}
	b.WriteString("\n")
	for _, m := range w.Members {
		there, key := "away", ""
		if m.Online {
			there = "here"
		}
		if m.Path != "" {
			there += " (" + string(m.Path) + ")"
		}
		if m.Confirmed {
			key = "has the key"
		}
		if m.Reason != "" {
			key = fmt.Sprintf("%-12s %s", key, inert.Line(m.Reason))
		}
		fmt.Fprintf(&b, "  %-32s %-14s %s\n", m.Role, there, key)
	}
	for _, l := range w.Links {
		fmt.Fprintf(&b, "  relay node %s: %s", l.Relay, l.State)
		if l.Reason != "" {
			fmt.Fprintf(&b, " (%s)", inert.Line(l.Reason))
		}
		b.WriteString("\n")
	}
	if warning := pki.Warning("the roster", w.RosterExpires, time.Now()); warning != "" {
		b.WriteString("  " + warning + "\n")
	}
	return b.String()
}

// codes is what /verify shows.
func codes(w node.Who) string {
	var b strings.Builder
	fmt.Fprintf(&b, "group code, the same for everybody:\n  %s\n", w.GroupCode)
	for _, m := range w.Members {
		if m.PairCode != "" {
			fmt.Fprintf(&b, "code with %s, the same on both sides:\n  %s\n", m.Role, m.PairCode)
		}
	}
	return b.String()
}
