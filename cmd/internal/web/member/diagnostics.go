package member

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"conclave/cmd/internal/web"
)

// version says what program this is.
func version() string {
	v := "conclave"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += " " + short(s.Value)
			}
		}
	}
	return v + ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}

// text is the drawer as plain text.
func (d Drawer) text(version string, s Status, log []web.Line) string {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, "\n== %s\n", title) }
	facts := func(list []Fact, indent string) {
		for _, f := range list {
			fmt.Fprintf(&b, "%s%-18s %s\n", indent, f.Name, f.Value)
		}
	}
	fmt.Fprintf(&b, "Conclave diagnostics, %s\n%s\n", d.At.UTC().Format(time.RFC3339), version)
	b.WriteString("No message, no key and no code is in this text; addresses and names are.\n")

	section("state")
	fmt.Fprintf(&b, "connection         %s (%s)\n", s.Connection.Words, s.Connection.Detail)
	fmt.Fprintf(&b, "key                %s, epoch %s, fingerprint %s\n", s.Key.Words, s.Key.Epoch, s.Key.Fingerprint)
	for _, m := range s.Members {
		fmt.Fprintf(&b, "member             %s: %s, confirmed %v\n", m.Role, m.Words, m.Confirmed)
	}
	facts(d.Connection, "")

	section("relay nodes")
	for _, l := range d.Links {
		fmt.Fprintf(&b, "%s: %s\n", l.Name, l.Words)
		facts(l.Facts, "  ")
	}
	section("connections")
	for _, c := range d.Connections {
		fmt.Fprintf(&b, "%s: %s, %s\n", c.Who, c.Words, c.Detail)
	}
	facts(d.Drops, "dropped ")
	section("certificates")
	for _, c := range d.Certificates {
		fmt.Fprintf(&b, "%s, %s: %s\n", c.Title, c.Kind, c.Words)
		facts(c.Facts, "  ")
		for _, check := range c.Checks {
			fmt.Fprintf(&b, "  %v: %s %s\n", check.OK, check.Rule, check.Why)
		}
	}
	section("epochs")
	for _, e := range d.Epochs {
		fmt.Fprintf(&b, "%s: %s; confirmed by %s\n", e.Number, e.Words, e.Confirmed)
		facts(e.Facts, "  ")
		for _, p := range e.Parts {
			fmt.Fprintf(&b, "  %s: %s %s\n", p.Role, p.Words, p.Commitment)
		}
	}
	section("what happened, newest first")
	for _, t := range d.Trace {
		fmt.Fprintf(&b, "%s %-8s %s (%s)\n", t.Time.UTC().Format("15:04:05.000"), t.Area, t.Text, t.Detail)
	}
	section("log")
	for _, l := range log {
		fmt.Fprintf(&b, "%s %-5s %s", l.Time.UTC().Format("15:04:05.000"), l.Level, l.Text)
		for _, a := range l.Attrs {
			fmt.Fprintf(&b, " %s=%s", a.Key, a.Value)
		}
		b.WriteString("\n")
	}
	return b.String()
}
