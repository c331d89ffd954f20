package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"conclave/pki/keystore"
)

const (
	relayPatience = 30 * time.Second // until the relay node must serve
	addressPrefix = "relay address: "
)

// options is what the command line says.
type options struct {
	home  string // "": a temporary one
	group string // "": the home's only one
	keep  bool
}

// demo is one demonstration. Its fields are owned by run, except where they say otherwise.
type demo struct {
	options
	out     io.Writer
	log     *slog.Logger
	spawner *spawner
	dir     string // temporary: binaries, logs and, without --home, the home

	relay   *process
	members map[string]*process
	lines   chan line // what all processes print; fed by their readers
	agreed  agreement
}

// line is one line of stdout of one process.
type line struct{ from, text string }

// run starts everything, passes lines until ctx ends or one of the four does, and stops everything.
func run(ctx context.Context, opts options, in io.Reader, out io.Writer, log *slog.Logger) (err error) {
	d := &demo{options: opts, out: out, log: log, members: make(map[string]*process), lines: make(chan line)}
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

	if err := d.startAll(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // asked to end while starting: not a failure
		}
		return err
	}
	return d.chat(ctx, in)
}

// startAll makes the binaries and the group and starts the four processes.
func (d *demo) startAll(ctx context.Context) error {
	bin, err := binaries(ctx, d.spawner, filepath.Join(d.dir, "bin"), func(text string) { d.log.Info(text) })
	if err != nil {
		return err
	}
	if err := d.ensureGroup(ctx, bin); err != nil {
		return err
	}
	if d.relay, err = d.launch("relay", binary(bin, "relay"), "--listen", "/ip4/127.0.0.1/tcp/0"); err != nil {
		return err
	}
	address, err := d.relayAddress(ctx)
	if err != nil {
		return err
	}
	for _, role := range roles {
		d.members[role], err = d.launch(role, binary(bin, "node"), "--role", role, "--relay", address, "--ui", "json")
		if err != nil {
			return err
		}
	}
	for _, p := range d.all() {
		d.print(fmt.Sprintf("%-5s  %s", p.name, (&url.URL{Scheme: "file", Path: filepath.ToSlash(p.log)}).String()))
	}
	return nil
}

// ensureGroup makes a group with A, B and C where the home has none.
func (d *demo) ensureGroup(ctx context.Context, bin string) error {
	_, err := keystore.FindGroup(d.home, d.group)
	if !errors.Is(err, keystore.ErrNoGroup) {
		return err
	}
	args := []string{"init", "--home", d.home, "--members", strings.Join(roles, ",")}
	if d.group != "" {
		args = append(args, "--group", d.group)
	}
	return runProgram(ctx, d.spawner, "making the group", binary(bin, "ca"), args...)
}

// launch starts one of the four on this demo's home.
func (d *demo) launch(name, program string, args ...string) (*process, error) {
	args = append(args, "--home", d.home)
	if d.group != "" {
		args = append(args, "--group", d.group)
	}
	hand := func(text string) { d.lines <- line{name, text} }
	return launch(d.spawner, name, filepath.Join(d.dir, name+".log"), hand, program, args...)
}

// relayAddress waits until the relay node serves.
func (d *demo) relayAddress(ctx context.Context) (string, error) {
	patience := time.NewTimer(relayPatience)
	defer patience.Stop()
	for {
		select {
		case l := <-d.lines:
			if address, ok := strings.CutPrefix(l.text, addressPrefix); ok {
				return address, nil
			}
		case <-d.relay.ended:
			return "", d.failure(d.relay)
		case <-patience.C:
			return "", fmt.Errorf("the relay node printed no address in %v", relayPatience)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// chat passes lines between the terminal and the members until ctx ends.
func (d *demo) chat(ctx context.Context, in io.Reader) error {
	typed := make(chan string)
	go read(ctx, in, typed) // ends with ctx, or with the process where the input blocks for ever
	for {
		select {
		case text := <-typed:
			d.send(text)
		case l := <-d.lines:
			d.show(l)
		case <-d.relay.ended:
			return d.failure(d.relay)
		case <-d.members["A"].ended:
			return d.failure(d.members["A"])
		case <-d.members["B"].ended:
			return d.failure(d.members["B"])
		case <-d.members["C"].ended:
			return d.failure(d.members["C"])
		case <-ctx.Done():
			return nil
		}
	}
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

// send sends a typed line as the member that it names.
func (d *demo) send(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	role, text, err := parseTyped(text)
	if err != nil {
		d.log.Warn(err.Error())
		return
	}
	if !d.members[role].say(sendLine(text)) {
		d.log.Warn("the member does not read its input", "role", role)
	}
}

// show prints what a line of a member means.
func (d *demo) show(l line) {
	if !slices.Contains(roles, l.from) {
		return
	}
	e := parseEvent(l.text)
	if fingerprint, all := d.agreed.add(l.from, e); all {
		d.print("Final session key Kabc = " + fingerprint)
	}
	if e.Event == "message" {
		d.print(received(l.from, e))
	}
}

func (d *demo) print(text string) {
	if _, err := fmt.Fprintln(d.out, text); err != nil {
		d.log.Debug("the output is closed", "err", err)
	}
}

// all returns the processes that were started, the relay node first.
func (d *demo) all() []*process {
	var started []*process
	if d.relay != nil {
		started = append(started, d.relay)
	}
	for _, role := range roles {
		if p := d.members[role]; p != nil {
			started = append(started, p)
		}
	}
	return started
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

// stopAll stops the members and then the relay node, so that they can still hand in what they have.
func (d *demo) stopAll() {
	started := d.all()
	if len(started) == 0 {
		return
	}
	quiet := make(chan struct{})
	go func() { // lets the readers finish; ends below
		defer close(quiet)
		for range d.lines {
		}
	}()
	stop(started[1:]...)
	stop(started[0])
	close(d.lines) // every reader has ended
	<-quiet
}

// clean removes the temporary folder, or says where it is.
func (d *demo) clean() error {
	if d.keep {
		d.log.Info("kept", "folder", d.dir)
		return nil
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("removing the temporary folder: %w", err)
	}
	return nil
}
