//go:build linux

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"conclave/cmd/internal/web/webtest"
)

// page is one of the four windows, in the browser that has them all.
type page struct {
	*webtest.Tab
	t    *testing.T
	name string
}

// newPage opens an address, which works once, and marks the page, so that one that was loaded anew is noticed.
func newPage(t *testing.T, tab *webtest.Tab, name, url string) *page {
	t.Helper()
	p := &page{Tab: tab, t: t, name: name}
	p.Open(url)
	p.await("the mark", `(window.marked ??= true)`)
	return p
}

// await waits until an expression holds in the page.
func (p *page) await(what, js string) {
	p.t.Helper()
	p.t.Logf("%s: awaiting %s", p.name, what)
	p.Until(js)
}

// say types a message and sends it, as a person does.
func (p *page) say(text string) {
	p.t.Helper()
	p.Do(chromedp.Click(chromedp.CSS("#draft")))
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			p.Do(enter(shift))
		}
		p.Do(chromedp.SendKeys(chromedp.CSS("#draft"), line))
	}
	p.Do(enter(plain))
}

// What can be held down with a key.
const (
	plain = 0
	shift = 8
)

// enter presses the Enter key. (A "\n" in chromedp's SendKeys comes as a character too, when the page has taken the key.)
func enter(with int64) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		press := input.DispatchKeyEventParams{
			Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13,
			Modifiers: with, Text: "\r", UnmodifiedText: "\r",
		}
		release := press
		release.Type, release.Text, release.UnmodifiedText = input.DispatchKeyEventTypeKeyUp, "", ""
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, press)
		if err == nil {
			_, err = cdp.Call(ctx, t, input.DispatchKeyEvent, release)
		}
		return chromedp.Void{}, err
	}
}

// click presses a button.
func (p *page) click(selector string) {
	p.t.Helper()
	p.Do(chromedp.Click(chromedp.CSS(selector)))
}

// same fails the test if the page was loaded anew.
func (p *page) same() {
	p.t.Helper()
	if !webtest.Eval[bool](p.Tab, `window.marked === true`) {
		p.t.Errorf("%s was loaded anew: it should recover as it is", p.name)
	}
}

// silent fails the test if something happened in the page that must not.
func (p *page) silent() {
	p.t.Helper()
	for _, problem := range p.Problems() {
		p.t.Errorf("in the page of %s: %s", p.name, problem)
	}
}
