package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"conclave/cmd/internal/inert"
	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/pki"
)

// pathWord says how a member is reached.
func pathWord(p node.Path) string {
	switch p {
	case node.ViaRelay:
		return "relay"
	case node.ViaLAN:
		return "LAN"
	}
	return string(p)
}

// describe is what /who shows.
func describe(w node.Who, now time.Time) []string {
	key := "no key yet"
	if w.Fingerprint != "" {
		key = fmt.Sprintf("epoch %d, Kabc = %s", w.Epoch, w.Fingerprint)
	}
	lines := []string{fmt.Sprintf("%s in group %s, roster version %d, %s", w.Self, w.Group, w.RosterVersion, key)}
	if w.Waiting > 0 {
		lines = append(lines, words.Count(w.Waiting, "message waits", "messages wait")+" to be sent")
	}
	for _, m := range w.Members {
		presence, has := memberWords(w, m)
		if m.Online && m.Reason != "" {
			presence += " (" + m.Reason + ")"
		}
		lines = append(lines, fmt.Sprintf("%s: %s, %s", m.Role, presence, has))
	}
	for _, l := range w.Links {
		line := fmt.Sprintf("relay node %s: %s", l.Relay, l.State)
		if l.Reason != "" {
			line += ", " + l.Reason
		}
		lines = append(lines, line)
	}
	if warning := pki.Warning("the roster", w.RosterExpires, now); warning != "" {
		lines = append(lines, warning)
	}
	return lines
}

// unconfirmed is said of a member that has not proved to hold the key, as far as this one knows.
const unconfirmed = "unconfirmed"

// memberWords says where a member is and whether it has the key.
func memberWords(w node.Who, m node.MemberStatus) (presence, has string) {
	has = unconfirmed
	if m.Confirmed {
		has = "has the key"
	}
	switch {
	case m.Role == w.Self:
		return "you", has
	case !m.Online:
		return "away", has
	case m.Path == "":
		return "here", has
	}
	return pathWord(m.Path), has
}

// describeCodes is what /verify shows.
func describeCodes(codes []node.Verification) []string {
	lines := []string{"Compare these over another channel, by voice or in person: the same digits on both sides mean that nobody is in between."}
	for _, v := range codes {
		whose := "with " + string(v.Role)
		if v.Role == "" {
			whose = "of the group, the same for everybody"
		}
		trust := map[node.Trust]string{
			node.Unverified: "not compared yet", node.Verified: "compared " + v.Since.Local().Format("2 January 2006"),
			node.Changed: "CHANGED since " + v.Since.Local().Format("2 January 2006"),
		}[v.Trust]
		lines = append(lines, fmt.Sprintf("code %s (%s):", whose, trust))
		for groups := range slices.Chunk(strings.Fields(v.Code), 4) { // two lines, as one reads them out
			lines = append(lines, "  "+strings.Join(groups, " "))
		}
	}
	return lines
}

// inspection is how things stand in detail: the text of a view.
func inspection(in node.Inspection) (lines []string) {
	title := func(s string) {
		if lines != nil {
			lines = append(lines, "")
		}
		lines = append(lines, titleMark+s)
	}
	say := func(format string, args ...any) { lines = append(lines, inert.Line(fmt.Sprintf(format, args...))) }
	date := func(t time.Time) string { return t.Local().Format("2 January 2006") }

	title("This member")
	say("  %s in group %s", in.Who.Self, in.Who.Group)
	say("  peer ID %s", in.Peer)
	say("  group ID %s", in.GroupID)
	say("  topic %s, %s on it", in.Topic, words.Count(len(in.TopicPeers), "peer", "peers"))
	say("  roster version %d of %s, valid until %s", in.Who.RosterVersion, date(in.RosterIssued), date(in.Who.RosterExpires))
	say("  outbox: %d waiting, %s on the way (%s)", in.Outbox.Waiting,
		words.Count(in.Outbox.Flying, "batch", "batches"), words.Count(in.Outbox.FlyingBytes, "byte", "bytes"))

	title("Relay nodes")
	for _, l := range in.Links {
		say("  %s %s %s, database %s, round trip %s", l.Name, l.State, l.Reason, l.Database, l.RoundTrip.Round(time.Millisecond))
		say("    %s", strings.Join(l.Addrs, "  "))
	}
	title("Connections")
	for _, c := range in.Connections {
		whose, way := string(c.Role), "direct"
		if whose == "" {
			whose = c.Peer.String()
		}
		if c.Circuit {
			way = "through a relay node"
		}
		say("  %s: %s, %s, since %s", whose, way, c.Detail, c.Since.Local().Format("15:04:05"))
	}
	title("Epochs")
	for _, e := range in.Epochs {
		epoch(say, e, in)
	}
	title("Certificates")
	for _, c := range in.Certificates {
		say("  %s %s: %s, %s, valid %s to %s", c.Kind, c.Role, c.Subject, c.Key, date(c.NotBefore), date(c.NotAfter))
		say("    SHA-256 %s", c.Fingerprint)
		if c.Peer != "" {
			say("    peer ID %s", c.Peer)
		}
		for _, check := range c.Checks {
			if check.OK {
				say("    %s %s", dotFull, check.Rule)
				continue
			}
			say("    %s NOT: %s (%s)", dotEmpty, check.Rule, check.Why)
		}
	}
	return lines
}

func epoch(say func(string, ...any), e node.Epoch, in node.Inspection) {
	state := "under way"
	switch {
	case e.Complete && e.Transcript == in.Using:
		state = "complete, in use"
	case e.Complete:
		state = "complete"
	case e.GivenUp:
		state = "given up"
	}
	say("  %d %s, opened by %s under roster version %d%s", e.Number, state, e.Opener, e.RosterVersion, joined(", the key is confirmed by ", e.Confirmed))
	say("    ID %s", e.ID)
	if e.Complete {
		say("    transcript %s", e.Transcript)
	}
	for _, p := range e.Parts {
		share := "share not here"
		if p.Share {
			share = "share here"
		}
		if !p.Announced {
			say("    %s has not announced its share", p.Role)
			continue
		}
		say("    %s: commitment %x, %s", p.Role, p.Commitment, share)
	}
}
