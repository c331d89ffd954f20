package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"conclave/cmd/internal/web"
)

// relayName is the relay node's name beside the members' roles.
const relayName = "relay"

// part is one of the four. Its process may end and start again; its window's address stays. Owned by the loop.
type part struct {
	name    string
	proc    *process // nil while it does not run
	leaving bool     // its end is wanted
	again   bool     // and is to be followed by another start

	window string // host and port of its window, once known
	url    string // the latest address that opens it
	urls   int    // how many addresses there were: one more than pages were opened
	opened bool   // a page has been open
	open   bool   // a page is open
}

// newParts returns the four, the relay node first, or the members alone.
func newParts(relay bool) []*part {
	var parts []*part
	if relay {
		parts = append(parts, &part{name: relayName})
	}
	for _, role := range roles {
		parts = append(parts, &part{name: role})
	}
	return parts
}

func (d *demo) part(name string) *part {
	for _, p := range d.parts {
		if p.name == name {
			return p
		}
	}
	return nil
}

// start starts a part, on the addresses that it had before.
func (d *demo) start(p *part) error {
	program, args := d.commandLine(p)
	args = append(args, "--home", d.home)
	if d.group != "" {
		args = append(args, "--group", d.group)
	}
	hand := func(text string) { d.lines <- line{p.name, text} }
	proc, err := launch(d.spawner, p.name, filepath.Join(d.dir, p.name+".log"), hand, d.bin(program), args...)
	if err != nil {
		return err
	}
	p.proc, p.leaving, p.again = proc, false, false
	go func() { // ends with the process, or with the demo
		<-proc.ended
		select {
		case d.ends <- p:
		case <-d.over:
		}
	}()
	return nil
}

// commandLine is how a part is started. Its first start takes free ports; later ones take those again, so that members
// and pages that are open find it.
func (d *demo) commandLine(p *part) (program string, args []string) {
	ui := p.window
	if ui == "" {
		ui = "127.0.0.1:0"
	}
	if p.name != relayName {
		return "node", append(d.way(), "--role", p.name, "--ui", "json", "--window", ui)
	}
	listen, _, _ := strings.Cut(d.address, "/p2p/")
	if listen == "" {
		listen = "/ip4/127.0.0.1/tcp/0"
	}
	return "relay", []string{"--listen", listen, "--ui", ui}
}

// way is how a member is told to reach the others. Without a relay node it looks for them on this machine only: what is a
// demonstration does not announce itself to the network around it.
func (d *demo) way() []string {
	if !d.lan {
		return []string{"--relay", d.address}
	}
	return []string{"--lan", d.link, "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"}
}

// loopback returns the name of this machine's network to itself.
func loopback() (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("looking for this machine's networks: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return i.Name, nil
		}
	}
	return "", errors.New("this machine has no loopback network")
}

// order does what a typed order says: stop, start or restart one of the four.
func (d *demo) order(what, name string) error {
	p := d.part(name)
	switch {
	case p == nil:
		return errTyped
	case what == "start" && p.proc == nil:
		return d.start(p)
	case what == "start" && !p.leaving:
		return fmt.Errorf("%s runs", name)
	case p.proc == nil && what == "restart":
		return d.start(p)
	case p.proc == nil:
		return fmt.Errorf("%s does not run", name)
	}
	p.again = what != "stop"
	if !p.leaving {
		p.leaving = true
		go stop(p.proc) // ends with the process
	}
	return nil
}

// ended takes note of the end of a part's process, which is a failure unless it was wanted.
func (d *demo) ended(p *part) error {
	if !p.leaving {
		return d.failure(p.proc)
	}
	again := p.again
	p.proc, p.leaving, p.open = nil, false, false
	if again {
		return d.start(p)
	}
	d.log.Info("stopped; type \"start "+p.name+"\" to bring it back", "name", p.name)
	return nil
}

// announced takes note of what a part says about its window.
func (p *part) announced(text string) error {
	switch text {
	case web.AnnounceOpen:
		p.open, p.opened = true, true
	case web.AnnounceClosed:
		p.open = false
	default:
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return fmt.Errorf("%s announced no address for its window", p.name)
		}
		p.url, p.window = text, u.Host
		p.urls++
	}
	return nil
}

// running returns the processes that run, the relay node's last.
func (d *demo) running() []*process {
	var members, relay []*process
	for _, p := range d.parts {
		switch {
		case p.proc == nil:
		case p.name == relayName:
			relay = append(relay, p.proc)
		default:
			members = append(members, p.proc)
		}
	}
	return append(members, relay...)
}

// stopAll stops the members and then the relay node, so that they can still hand in what they have.
func (d *demo) stopAll() {
	close(d.over)
	quiet := make(chan struct{})
	go func() { // lets the readers finish; ends below
		defer close(quiet)
		for range d.lines {
		}
	}()
	all := d.running()
	if n := len(all); n > 0 {
		stop(all[:n-1]...)
		stop(all[n-1])
	}
	close(d.lines) // every reader has ended
	<-quiet
}
