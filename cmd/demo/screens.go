package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"conclave/cmd/internal/window"

	"github.com/cli/browser"
)

const (
	firstPatience = 10 * time.Second       // until the browser has opened the first window
	restPatience  = 10 * time.Second       // and all others
	tabDistance   = 300 * time.Millisecond // between two tabs, so that they come in order
)

// stage is how far the windows are.
type stage int

const (
	waiting stage = iota // for the addresses of all four
	first                // the relay node's window is being opened
	rest                 // the others are
	shown                // the addresses are printed
)

// screens are the four windows. Owned by the loop.
type screens struct {
	stage    stage
	watched  bool // the end of the last window ends everything
	browser  *window.Browser
	patience <-chan time.Time // for what the stage waits for
	gone     <-chan struct{}  // closed when the browser has ended
}

// look moves the windows on as far as it goes; the loop calls it after each line and when the patience is over.
func (d *demo) look(impatient bool) {
	s := &d.screens
	switch {
	case s.stage == waiting && d.all(func(p *part) bool { return p.urls > 0 }):
		d.openFirst()
	case s.stage == first && (d.parts[0].urls > 1 || impatient):
		d.openRest()
	case s.stage == rest && (d.all(func(p *part) bool { return p.urls > 1 }) || impatient):
		d.present()
	}
}

// openFirst opens the first window, all tabs, or nothing.
func (d *demo) openFirst() {
	d.screens.watched = d.open != "never"
	if d.open == "never" || !window.Screen() {
		d.present()
		return
	}
	path, ok := window.Find()
	if !ok {
		d.openTabs()
		return
	}
	s := &d.screens
	s.browser = window.New(window.Config{Path: path, Dir: filepath.Join(d.dir, "browser"), Start: d.spawner.start, Kill: kill})
	if err := s.browser.Open(tiled(d.parts[0].url, 0)); err != nil {
		d.log.Warn("no windows", "err", err)
		s.browser = nil
		d.openTabs()
		return
	}
	s.stage, s.gone, s.patience = first, s.browser.Ended(), time.After(firstPatience)
}

// openRest opens the windows of the members: the browser runs.
func (d *demo) openRest() {
	for i, p := range d.parts[1:] {
		if err := d.screens.browser.Open(tiled(p.url, i+1)); err != nil {
			d.log.Warn("no window", "name", p.name, "err", err)
		}
	}
	d.screens.stage, d.screens.patience = rest, time.After(restPatience)
}

// openTabs opens the windows as tabs of the person's own browser, where there is one.
func (d *demo) openTabs() {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard // what the platform's opener says is not for our output
	var urls []string
	for _, p := range d.parts {
		urls = append(urls, p.url)
	}
	go func() { // the opener may take its time; it is not worth waiting for
		for _, url := range urls {
			if err := window.Tab(url); err != nil {
				d.log.Info("no browser was found: open the addresses yourself")
				return
			}
			time.Sleep(tabDistance)
		}
	}()
	d.present()
}

// browserEnded says whether the end of the browser is the end of the demonstration: a browser that could not show the
// windows is not missed.
func (d *demo) browserEnded() bool {
	s := &d.screens
	s.gone = nil
	if s.stage == shown && d.all(func(p *part) bool { return p.opened }) {
		return true
	}
	d.log.Warn("the browser ended: open the addresses yourself")
	if s.stage != shown {
		d.present()
	}
	return false
}

// closed says that the person has closed all windows.
func (d *demo) closed() bool {
	return d.screens.watched && d.all(func(p *part) bool { return p.opened && !p.open })
}

// present prints the four addresses, and then what had to wait for them.
func (d *demo) present() {
	d.screens.stage, d.screens.patience = shown, nil
	for _, p := range d.parts {
		d.write(fmt.Sprintf("%s  %s", p.name, p.url))
	}
	for _, text := range d.held {
		d.write(text)
	}
	d.held = nil
}

// close closes the windows and returns when the browser has ended.
func (s *screens) close() {
	if s.browser != nil {
		s.browser.Close()
	}
}

// all says whether something holds for all four.
func (d *demo) all(holds func(*part) bool) bool {
	for _, p := range d.parts {
		if !holds(p) {
			return false
		}
	}
	return true
}

// tiled is the address of a window that takes a quarter of the screen.
func tiled(url string, tile int) string { return fmt.Sprintf("%s&tile=%d", url, tile) }
