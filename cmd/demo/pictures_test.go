//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"conclave/cmd/internal/web/webtest"
)

// screenshots is where pictures of the windows go: CONCLAVE_SCREENSHOTS, or screenshots/ in the module's root.
func screenshots(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("CONCLAVE_SCREENSHOTS")
	if folder == "" {
		folder = filepath.Join("..", "..", "screenshots")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// looks are the sizes in which pictures are taken: a whole screen, a quarter of one, a phone.
var looks = []struct {
	name          string
	width, height int64
}{{"wide", 1280, 800}, {"tile", 960, 540}, {"narrow", 390, 844}}

// view is something that a window can show beside what it shows at first.
type view struct {
	name        string
	open, close string // what is pressed
	shown       string // what then holds
}

// views are what the windows can show, by the page's name.
var views = map[string][]view{
	relayName: {
		{name: "sight", open: `[data-view="sight"]`, close: `[data-view="log"]`, shown: `document.querySelector("#held").checkVisibility()`},
	},
	"A": {
		{name: "happening", open: "#drawer-open", close: "#drawer-close", shown: `document.querySelector("#drawer").checkVisibility()`},
		{name: "verify", open: "#verify-open", close: "#verify-close", shown: `document.querySelector("#verify").open && document.querySelector("#codes").childElementCount > 0`},
	},
}

// pictures takes pictures of every window, light and dark, in all sizes, and checks each for accessibility.
func (th *theatre) pictures(axe string) {
	folder := screenshots(th.t)
	for _, p := range th.pages() {
		for _, scheme := range []string{"light", "dark"} {
			for _, look := range looks {
				p.Look(look.width, look.height, scheme)
				name := scheme + "-" + look.name
				th.picture(p, axe, filepath.Join(folder, p.name+"-"+name+".png"))
				if look.name == "tile" {
					continue
				}
				for _, v := range views[p.name] {
					p.click(v.open)
					p.await(v.name, v.shown)
					th.picture(p, axe, filepath.Join(folder, p.name+"-"+v.name+"-"+name+".png"))
					p.click(v.close)
				}
			}
		}
		p.Look(1280, 800, "light")
	}
}

// picture takes one picture.
func (th *theatre) picture(p *page, axe, file string) {
	p.Screenshot(file)
	for _, problem := range p.Accessible(axe) {
		th.t.Errorf("%s: %s", filepath.Base(file), problem)
	}
	if webtest.Eval[bool](p.Tab, `document.scrollingElement.scrollWidth > window.innerWidth`) {
		th.t.Errorf("%s: the page is wider than the window", filepath.Base(file))
	}
}
