package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"conclave/cmd/internal/web"
	"conclave/pki/keystore"
)

const (
	relayPatience = 30 * time.Second // until all four must serve
	cleanTries    = 20               // to remove the temporary folder
	cleanPause    = 100 * time.Millisecond
	addressPrefix = "relay address: "
)

// options is what the command line says.
type options struct {
	home  string // "": a temporary one
	group string // "": the home's only one
	open  string // "auto" or "never"
	keep  bool
	lan   bool // without a relay node
}

// demo is one demonstration. Its fields are owned by run and its loop, except where they say otherwise.
type demo struct {
	options
	out     io.Writer
	log     *slog.Logger
	spawner *spawner
	dir     string                   // temporary: binaries, logs, the browser's profile and, without --home, the home
	bin     func(name string) string // where a command is

	parts   []*part // the relay node first, if there is one
	address string  // the relay node's, once known
	link    string  // the network interface on which members find each other, when there is no relay node
	screens screens
	held    []string // lines that come after the four addresses

	lines  chan line     // what all processes print; fed by their readers
	ends   chan *part    // whose process has ended
	over   chan struct{} // closed when nobody takes ends any more
	agreed agreement
}

// line is one line of stdout of one process, or of stderr when it is about a window.
type line struct{ from, text string }

// run starts everything, passes lines until ctx ends or one of the four does, and stops everything.
func run(ctx context.Context, opts options, in io.Reader, out io.Writer, log *slog.Logger) (err error) {
	d := &demo{
		options: opts, out: out, log: log, parts: newParts(!opts.lan),
		lines: make(chan line), ends: make(chan *part), over: make(chan struct{}),
	}
	if opts.lan {
		if d.link, err = loopback(); err != nil {
			return err
		}
	}
	if d.dir, err = os.MkdirTemp("", "conclave-demo-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, d.clean()) }()
	if d.home == "" {
		d.home = filepath.Join(d.dir, "home")
	}
	d.spawner = newSpawner()
	defer d.spawner.close()
	defer d.stopAll()
	defer d.screens.close()

	if err := d.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // asked to end while starting: not a failure
		}
		return err
	}
	return d.loop(ctx, in)
}

// prepare makes the binaries and the group.
func (d *demo) prepare(ctx context.Context) (err error) {
	d.bin, err = binaries(ctx, d.spawner, filepath.Join(d.dir, "bin"), func(text string) { d.log.Info(text) })
	if err != nil {
		return err
	}
	return d.ensureGroup(ctx, d.bin)
}

// ensureGroup makes a group with A, B and C where the home has none.
func (d *demo) ensureGroup(ctx context.Context, bin func(string) string) error {
	_, err := keystore.FindGroup(d.home, d.group)
	if !errors.Is(err, keystore.ErrNoGroup) {
		return err
	}
	args := []string{"init", "--home", d.home, "--members", strings.Join(roles, ",")}
	if d.group != "" {
		args = append(args, "--group", d.group)
	}
	return runProgram(ctx, d.spawner, "making the group", bin("ca"), args...)
}

// loop starts the relay node, or the members where there is none, and does what each event asks for, until ctx ends, the windows are closed, or something fails.
func (d *demo) loop(ctx context.Context, in io.Reader) error {
	if err := d.begin(); err != nil {
		return err
	}
	patience := time.NewTimer(relayPatience)
	defer patience.Stop()
	typed := make(chan string)
	reading := false
	for !d.closed() {
		if (d.address != "" || d.lan) && !reading { // what is typed earlier waits
			reading = true
			go read(ctx, in, typed) // ends with ctx, or with the process where the input blocks for ever
		}
		var err error
		select {
		case text := <-typed:
			d.typed(text)
		case l := <-d.lines:
			err = d.take(l)
		case p := <-d.ends:
			err = d.ended(p)
		case <-d.screens.patience:
			d.look(true)
		case <-d.screens.gone:
			if d.browserEnded() {
				return nil
			}
		case <-patience.C:
			if d.screens.stage == waiting {
				err = fmt.Errorf("not all of them started within %v", relayPatience)
			}
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take does what a line of one of the four means.
func (d *demo) take(l line) error {
	if text, ok := strings.CutPrefix(l.text, web.AnnouncePrefix); ok {
		err := d.part(l.from).announced(text)
		d.look(false)
		return err
	}
	if l.from != relayName {
		d.show(l)
		return nil
	}
	address, ok := strings.CutPrefix(l.text, addressPrefix)
	if !ok || d.address != "" {
		return nil
	}
	d.address = address
	return d.startMembers()
}

// begin starts whoever has to be first.
func (d *demo) begin() error {
	if d.lan {
		return d.startMembers()
	}
	return d.start(d.part(relayName))
}

func (d *demo) startMembers() error {
	for _, role := range roles {
		if err := d.start(d.part(role)); err != nil {
			return err
		}
	}
	return nil
}

// read hands typed lines to typed until the input or ctx ends.
func read(ctx context.Context, in io.Reader, typed chan<- string) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		select {
		case typed <- lines.Text():
		case <-ctx.Done():
			return
		}
	}
}

// typed sends a typed line as the member that it names, or does the order that it is.
func (d *demo) typed(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	what, name, err := parseTyped(text)
	switch {
	case err != nil:
	case slices.Contains(orders, what):
		err = d.order(what, name)
	case d.part(what).proc == nil:
		err = fmt.Errorf("%s does not run; type \"start %s\"", what, what)
	case !d.part(what).proc.say(sendLine(name)):
		err = fmt.Errorf("%s does not read its input", what)
	}
	if err != nil {
		d.log.Warn(err.Error())
	}
}

// show prints what a line of a member means.
func (d *demo) show(l line) {
	e := parseEvent(l.text)
	if fingerprint, all := d.agreed.add(l.from, e); all {
		d.print("Final session key Kabc = " + fingerprint)
	}
	if e.Event == "message" {
		d.print(received(l.from, e))
	}
}

// print prints a line after the four addresses.
func (d *demo) print(text string) {
	if d.screens.stage != shown {
		d.held = append(d.held, text)
		return
	}
	d.write(text)
}

func (d *demo) write(text string) {
	if _, err := fmt.Fprintln(d.out, text); err != nil {
		d.log.Debug("the output is closed", "err", err)
	}
}

// failure is why a process that should have gone on ended, with the last line of its log.
func (d *demo) failure(p *process) error {
	how := "it stopped by itself"
	if p.err != nil {
		how = p.err.Error()
	}
	if data, err := os.ReadFile(p.log); err == nil {
		if last := strings.TrimSpace(string(data)); last != "" {
			how += ": " + last[strings.LastIndexByte(last, '\n')+1:]
		}
	}
	return fmt.Errorf("%s ended: %s", p.name, how)
}

// clean removes the temporary folder, or says where it is.
func (d *demo) clean() error {
	if d.keep {
		d.log.Info("kept", "folder", d.dir)
		return nil
	}
	err := os.RemoveAll(d.dir)
	for try := 0; err != nil && try < cleanTries; try++ { // a browser's last child may still be writing
		time.Sleep(cleanPause)
		err = os.RemoveAll(d.dir)
	}
	if err != nil {
		return fmt.Errorf("removing the temporary folder: %w", err)
	}
	return nil
}
