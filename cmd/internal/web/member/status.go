package member

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"conclave/cmd/internal/words"
	"conclave/node"
	"conclave/overlay/wire"
	"conclave/pki"
)

// Status is the head of the page: who, where, with whom, under which key. Everything in it is ready to be shown.
type Status struct {
	Self       wire.Role  `json:"self"`
	Group      string     `json:"group"`
	Connection Connection `json:"connection"`
	Members    []Member   `json:"members"` // this member first, then in role order
	Here       int        `json:"here"`    // members who are here, this one included
	Key        Key        `json:"key"`
	Waiting    int        `json:"waiting"` // messages that are not sent yet
	// Alarm is what a person must not miss; Warning is what can wait.
	Alarm   string `json:"alarm"`
	Warning string `json:"warning"`
}

// Connection says whether and how this member is connected.
type Connection struct {
	// State is on, wait or bad: the shape that is shown.
	State  string `json:"state"`
	Words  string `json:"words"`
	Detail string `json:"detail"`
}

// Member is one member as the page lists it.
type Member struct {
	Role      wire.Role `json:"role"`
	Self      bool      `json:"self"`
	Online    bool      `json:"online"`
	Words     string    `json:"words"` // here or away, and how
	Confirmed bool      `json:"confirmed"`
	Trust     string    `json:"trust"` // of the pair code: unverified, verified, changed; empty for this member
}

// Key says under which key messages are sent.
type Key struct {
	Has         bool   `json:"has"`
	Fingerprint string `json:"fingerprint"` // in groups of four
	Epoch       string `json:"epoch"`
	Confirmed   int    `json:"confirmed"`
	Of          int    `json:"of"`
	Words       string `json:"words"`
	Trust       string `json:"trust"` // of the group's code
}

// statusOf puts into words how things stand now.
func statusOf(who node.Who, codes []node.Verification, now time.Time) Status {
	trust := make(map[wire.Role]node.Verification, len(codes))
	for _, c := range codes {
		trust[c.Role] = c
	}
	s := Status{
		Self: who.Self, Group: who.Group, Connection: connectionOf(who), Waiting: who.Waiting,
		Warning: sentence(pki.Warning("the roster", who.RosterExpires, now)),
		Key: Key{
			Has: who.Fingerprint != "", Fingerprint: grouped(who.Fingerprint), Of: len(who.Members), Trust: string(trust[""].Trust),
		},
	}
	if who.Epoch != 0 {
		s.Key.Epoch = strconv.FormatUint(who.Epoch, 10)
	}
	for _, m := range who.Members {
		one := Member{
			Role: m.Role, Self: m.Role == who.Self, Online: m.Online, Confirmed: m.Confirmed, Words: presence(m, who.Self, s.Connection.State == "on"),
			Trust: string(trust[m.Role].Trust),
		}
		if one.Self {
			one.Trust = ""
			s.Members = append([]Member{one}, s.Members...)
		} else {
			s.Members = append(s.Members, one)
		}
		if m.Online {
			s.Here++
		}
		if m.Confirmed {
			s.Key.Confirmed++
		}
	}
	s.Key.Words = keyWords(who, s.Key)
	s.Alarm = alarm(codes)
	return s
}

// connectionOf says how this member is connected.
func connectionOf(who node.Who) Connection {
	best, direct, lan := node.Link{}, 0, 0
	for _, l := range who.Links {
		if progress(l.State) > progress(best.State) {
			best = l
		}
	}
	for _, m := range who.Members {
		switch {
		case m.Role == who.Self || !m.Online:
		case m.Path == node.Direct:
			direct++
		case m.Path == node.ViaLAN:
			lan++
		}
	}
	c := Connection{State: "wait", Words: "Connecting", Detail: "Looking for the relay node"}
	switch {
	case best.State == node.Ready:
		c = Connection{State: "on", Words: "Connected through the relay node", Detail: "Relay node " + best.Relay.String()}
	case lan > 0:
		c = Connection{State: "on", Words: "Connected over the local network", Detail: "No relay node"}
	case direct > 0:
		c = Connection{State: "on", Words: "Connected directly", Detail: "No relay node"}
	case best.State == node.Authenticated:
		c = Connection{State: "wait", Words: "Joining", Detail: "The relay node is authenticated; joining the group's topic"}
	case best.Reason != "":
		c = Connection{State: "bad", Words: "Not connected, trying again", Detail: sentence(best.Reason)}
	}
	var also []string
	if best.State == node.Ready {
		if lan > 0 {
			also = append(also, words.Count(lan, "member", "members")+" over the local network")
		}
		if direct > 0 {
			also = append(also, words.Count(direct, "member", "members")+" directly")
		}
	}
	if len(also) > 0 {
		c.Words += ", " + strings.Join(also, ", ")
	}
	return c
}

// progress orders the states of links.
func progress(s node.LinkState) int {
	switch s {
	case node.Down:
		return 1
	case node.Connecting:
		return 2
	case node.Authenticated:
		return 3
	case node.Ready:
		return 4
	}
	return 0
}

// presence says whether a member is here and how it is reached. Without a connection nobody can tell who is.
func presence(m node.MemberStatus, self wire.Role, connected bool) string {
	switch {
	case m.Role == self:
		return "you"
	case !m.Online && !connected:
		return "not known"
	case !m.Online:
		return "away"
	case m.Path == "":
		return "here"
	}
	return "here " + pathWords(m.Path)
}

// keyWords says what the key's state means.
func keyWords(who node.Who, k Key) string {
	switch {
	case !k.Has && who.Waiting > 0:
		return "Agreeing on a key; " + words.Count(who.Waiting, "message waits", "messages wait")
	case !k.Has:
		return "Agreeing on a key"
	case k.Confirmed >= k.Of:
		return "Everybody has confirmed this key"
	}
	return ofAll(k.Confirmed, k.Of) + " have confirmed this key"
}

// alarm says which codes have changed.
func alarm(codes []node.Verification) string {
	var texts []string
	for _, c := range codes {
		if c.Trust == node.Changed {
			texts = append(texts, changedWords(c.Role, c.WasVerified))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return strings.Join(texts, ". ") + ". Somebody else may be using that name: compare the code before you trust it."
}

// sentence begins a text with a capital letter.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// span says how long something took or is.
func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(time.Second).String()
}
