package house

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// arrow forbids what one part of the module may link, directly or through others.
type arrow struct {
	from   string   // the package and those below it, from the module's root
	not    []string // import paths, and those below them unless they end in "$"; "conclave/…" are ours
	except []string // what is allowed nevertheless, in the same notation
	direct bool     // look at the package's own imports only
	tests  bool     // packages that exist for tests may
	reason string
}

const libp2p = "github.com/libp2p/go-libp2p"

// hosts is everything of libp2p that opens a socket or starts a goroutine: all but core's words.
var hosts = []string{libp2p + "/p2p", libp2p + "/config", "github.com/libp2p/go-libp2p-pubsub", "github.com/quic-go"}

var arrows = []arrow{
	{from: "relaynode", not: []string{"conclave/node", "conclave/pki/authority"}, reason: "a relay that cannot read must not link the reader"},
	{from: "cmd/relay", not: []string{"conclave/node", "conclave/pki/authority"}, reason: "a relay that cannot read must not link the reader"},
	{from: "node", not: []string{"conclave/relaynode", "conclave/pki/authority"}, reason: "a member is neither the relay nor the authority"},
	{from: "cmd/node", not: []string{"conclave/relaynode", "conclave/pki/authority"}, reason: "a member is neither the relay nor the authority"},
	{from: "relaynode", not: []string{"conclave/cmd"}, reason: "arrows point down"},
	{from: "node", not: []string{"conclave/cmd"}, reason: "arrows point down"},
	{from: "overlay", not: []string{"conclave/node", "conclave/relaynode", "conclave/cmd", "conclave/pki/authority"}, reason: "arrows point down"},
	{from: "overlay", not: []string{"conclave/overlay/topic"}, reason: "the topic runs over hosts, not hosts over the topic"},
	{from: "overlay/topic", not: []string{"conclave"}, except: []string{"conclave/overlay$", "conclave/overlay/topic", "conclave/overlay/wire"}, reason: "the topic does not know who is who"},
	{from: "cmd", not: []string{"conclave/overlay/topic"}, direct: true, reason: "only a member and a relay node are in the topic"},
	{from: "overlay/wire", not: []string{"conclave"}, except: []string{"conclave/overlay/wire"}, reason: "the codec is a leaf"},
	{from: "overlay/wire", not: slices.Concat(hosts, []string{"net", "crypto/rsa"}), direct: true, reason: "the codec has no keys and no sockets"},
	{from: "overlay/backoff", not: []string{"conclave"}, except: []string{"conclave/overlay/backoff"}, reason: "how long to wait is arithmetic"},
	{from: "pki", not: []string{"conclave"}, except: []string{"conclave/pki", "conclave/overlay/wire", "conclave/overlay/longtest"}, reason: "who is who stands beside the overlay, not on it"},
	{from: "pki", not: hosts, reason: "who is who needs no libp2p host"},
	{from: "node/keyagreement", not: []string{"conclave"}, except: []string{"conclave/node/keyagreement", "conclave/overlay/backoff", "conclave/overlay/wire"}, reason: "the state machine sees messages and nothing else"},
	{from: "node/keyagreement", not: []string{"os", "net", "database/sql", "log$"}, direct: true, reason: "the state machine does no I/O"},
	{from: "node/keyagreement", not: hosts, reason: "the state machine does no I/O"},
	{from: "node/frame", not: []string{"conclave"}, except: []string{"conclave/node/frame", "conclave/overlay/wire"}, reason: "frames know keys and bytes, no network"},
	{from: "node/frame", not: slices.Concat(hosts, []string{"os", "net", "log$"}), direct: true, reason: "frames know keys and bytes, no network"},
	{from: "node/uplink", not: []string{"conclave/node"}, except: []string{"conclave/node/uplink"}, reason: "the connections to relay nodes do not know what runs over them"},
	{from: "node/state", not: []string{"conclave"}, except: []string{"conclave/node/deadline", "conclave/node/state", "conclave/overlay/durable", "conclave/overlay/wire"}, reason: "the state file knows nothing of what it keeps"},
	{from: "node/courier", not: []string{"conclave/node"}, except: []string{"conclave/node/courier", "conclave/node/deadline", "conclave/node/keyagreement/event", "conclave/node/keyagreement/envelope", "conclave/node/keyagreement/roster", "conclave/node/keyagreement/share"}, reason: "what carries shares does not know who made them"},
	{from: "node/deadline", not: []string{"conclave"}, except: []string{"conclave/node/deadline"}, reason: "it compares times"},
	{from: "node/reach", not: []string{"conclave/node"}, except: []string{"conclave/node/reach", "conclave/node/deadline"}, reason: "who is where does not depend on what is said"},
	{from: "node/shelf", not: []string{"conclave/node"}, except: []string{"conclave/node/shelf"}, reason: "a room does not import the house"},
	{from: "node/order", not: []string{"conclave"}, except: []string{"conclave/node/order"}, reason: "order comes from positions alone"},
	{from: "node/delivery", not: []string{"conclave"}, except: []string{"conclave/node/delivery", "conclave/node/frame", "conclave/node/order", "conclave/node/recent", "conclave/node/deadline", "conclave/node/topicwatch", "conclave/overlay/backoff", "conclave/overlay/wire"}, reason: "what becomes of messages is decided from messages alone"},
	{from: "node/delivery", not: []string{"os", "net", "sync", "context", "database/sql", "log$"}, direct: true, reason: "a stepped machine does no I/O and has no goroutine"},
	{from: "node/delivery", not: hosts, reason: "a stepped machine does no I/O"},
	{from: "node/recent", not: []string{"conclave"}, except: []string{"conclave/node/recent"}, reason: "it is a map"},
	{from: "node/feed", not: []string{"conclave"}, except: []string{"conclave/node/feed"}, reason: "it does not know what happens"},
	{from: "node/sendqueue", not: []string{"conclave/node"}, except: []string{"conclave/node/sendqueue", "conclave/node/recent", "conclave/node/state", "conclave/node/deadline"}, reason: "a room does not import the house"},
	{from: "node/papers", not: []string{"conclave"}, except: []string{"conclave/node/papers", "conclave/overlay/wire", "conclave/pki"}, reason: "it looks at certificates alone"},
	{from: "node/verify", not: []string{"conclave"}, except: []string{"conclave/node/verify", "conclave/overlay/wire", "conclave/pki"}, reason: "codes come from certificates alone"},
	{from: "relaynode/door", not: []string{"conclave"}, except: []string{"conclave/relaynode/door", "conclave/overlay/wire", "conclave/pki"}, reason: "who may come in comes from the roster alone"},
	{from: "relaynode/peers", not: []string{"conclave/relaynode"}, except: []string{"conclave/relaynode/peers", "conclave/relaynode/backlog", "conclave/relaynode/door", "conclave/relaynode/mailbox", "conclave/relaynode/news", "conclave/relaynode/pace", "conclave/relaynode/serve"}, reason: "a room does not import the house"},
	{from: "relaynode/serve", not: []string{"conclave/relaynode"}, except: []string{"conclave/relaynode/serve", "conclave/relaynode/backlog", "conclave/relaynode/door"}, reason: "the loop does not know what requests do"},
	{from: "relaynode/news", not: []string{"conclave/relaynode"}, except: []string{"conclave/relaynode/news", "conclave/relaynode/backlog", "conclave/relaynode/pace"}, reason: "who tells does not know what follows"},
	{from: "relaynode/pace", not: []string{"conclave"}, except: []string{"conclave/relaynode/pace"}, reason: "signals know nothing of what is asked for"},
	{from: "cmd", not: []string{"conclave/node", "conclave/relaynode"}, except: []string{"conclave/node$", "conclave/node/doctor$", "conclave/relaynode$", "conclave/relaynode/mailbox$", "conclave/relaynode/backlog$"}, direct: true, reason: "screens use the exported API of node and relaynode (of which the stores' limits and the doctor are part), nothing deeper"},
	{from: "cmd/internal/tui", not: []string{"conclave/cmd/internal/web"}, reason: "a terminal needs no window"},
	{from: "internal/baseline", not: []string{"conclave"}, except: []string{"conclave/internal/baseline"}, reason: "a baseline is not built of what is measured against it"},
	{from: "", not: []string{"math/rand"}, except: []string{"math/rand/v2"}, direct: true, reason: "a seedable generator is one import away from a key"},
	{from: "cmd", not: []string{libp2p + "$"}, reason: "the root package links WebRTC and WebTransport, whatever its options say"},
	{from: "cmd", not: []string{"testing", "conclave/pki/pkitest", "conclave/internal", "conclave/cmd/internal/web/webtest", "conclave/cmd/internal/netlab"}, tests: true, reason: "what is made for tests stays out of the binaries"},
}

// onlyTests are packages that exist for tests: nothing but tests, and one another, may import them.
var onlyTests = []string{"internal/baseline", "overlay/longtest", "overlay/overlaytest", "pki/pkitest", "cmd/internal/web/webtest", "cmd/internal/netlab"}

// matches says whether an import path is one of those that the patterns name.
func matches(dep string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		exact, one := strings.CutSuffix(pattern, "$")
		return one && dep == exact || !one && within(dep, pattern)
	})
}

// breaks returns what p links against the arrow.
func (a arrow) breaks(p pkg) []string {
	if !p.in(a.from) || a.tests && slices.ContainsFunc(onlyTests, p.in) {
		return nil
	}
	linked := p.Deps
	if a.direct {
		linked = p.Imports
	}
	var broken []string
	for _, dep := range linked {
		if matches(dep, a.not) && !matches(dep, a.except) {
			broken = append(broken, dep)
		}
	}
	return broken
}

func TestImportArrowsPointDown(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range arrows {
		seen := false
		for _, p := range all {
			seen = seen || p.in(a.from)
			if broken := a.breaks(p); len(broken) > 0 {
				t.Errorf("%s links %s: %s", p.ImportPath, strings.Join(broken, ", "), a.reason)
			}
		}
		if !seen {
			t.Errorf("no package is in %s: the rule %q looks at nothing", a.from, a.reason)
		}
	}
}

func TestTestPackagesStayInTests(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		isTest := strings.HasSuffix(path.Base(p.ImportPath), "test") || slices.ContainsFunc(onlyTests, p.in)
		for _, dep := range p.Imports {
			made := dep == "testing" || slices.ContainsFunc(onlyTests, func(name string) bool { return within(dep, path.Join(module, name)) })
			if made && !isTest {
				t.Errorf("%s imports %s outside its tests", p.ImportPath, dep)
			}
		}
	}
}

func TestImportArrowsBite(t *testing.T) {
	for _, c := range []struct {
		name string
		p    pkg
		want bool
	}{
		{"the relay links frames through another package", pkg{ImportPath: "conclave/cmd/relay", Imports: []string{"conclave/overlay"}, Deps: []string{"conclave/overlay", "conclave/node/frame"}}, true},
		{"the relay runtime links the authority", pkg{ImportPath: "conclave/relaynode/mailbox", Deps: []string{"conclave/pki/authority"}}, true},
		{"a name that only begins alike", pkg{ImportPath: "conclave/relaynode", Deps: []string{"conclave/nodes"}}, false},
		{"the codec imports who is who", pkg{ImportPath: "conclave/overlay/wire", Deps: []string{"conclave/pki"}}, true},
		{"the codec has inner packages", pkg{ImportPath: "conclave/overlay/wire", Deps: []string{"conclave/overlay/wire/internal/pb"}}, false},
		{"a screen reaches below node", pkg{ImportPath: "conclave/cmd/node", Imports: []string{"conclave/node/frame"}}, true},
		{"a screen uses node", pkg{ImportPath: "conclave/cmd/node", Imports: []string{"conclave/node"}, Deps: []string{"conclave/node", "conclave/node/frame"}}, false},
		{"a room imports the house", pkg{ImportPath: "conclave/node/uplink", Deps: []string{"conclave/node"}}, true},
		{"hosts know the topic", pkg{ImportPath: "conclave/overlay", Deps: []string{"conclave/overlay/topic"}}, true},
		{"the topic knows hosts", pkg{ImportPath: "conclave/overlay/topic", Deps: []string{"conclave/overlay", "conclave/overlay/wire"}}, false},
		{"frames log", pkg{ImportPath: "conclave/node/frame", Imports: []string{"log"}}, true},
	} {
		got := slices.ContainsFunc(arrows, func(a arrow) bool { return len(a.breaks(c.p)) > 0 })
		if got != c.want {
			t.Errorf("%s: refused is %v, want %v", c.name, got, c.want)
		}
	}
}

// clockless are the packages that are told the time and never ask for it; stepped are those that start no goroutine
// either.
var (
	clockless = []string{"pki", "overlay/backoff", "overlay/wire", "node/keyagreement", "node/delivery", "node/frame", "node/verify", "node/deadline"}
	stepped   = []string{"overlay/backoff", "overlay/wire", "node/keyagreement", "node/delivery", "node/frame", "node/verify"}
)

// clocks are the functions of package time that read a clock or wait for one.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// asksForTheTime returns each place in f that reads a clock, and startsGoroutines each go statement.
func asksForTheTime(t testing.TB, f file) (places []string) {
	set, tree := f.parse(t)
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, s.Sel.Name) {
				places = append(places, fmt.Sprintf("%s: time.%s", set.Position(s.Pos()), s.Sel.Name))
			}
		}
		return true
	})
	return places
}

func startsGoroutines(t testing.TB, f file) (places []string) {
	set, tree := f.parse(t)
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.GoStmt); ok {
			places = append(places, set.Position(s.Pos()).String())
		}
		return true
	})
	return places
}

func TestPureCodeIsToldTheTime(t *testing.T) {
	inOneOf := func(f file, folders []string) bool { return slices.Contains(folders, path.Dir(f.path)) }
	for _, f := range written(t) {
		if f.isTest() {
			continue
		}
		if inOneOf(f, clockless) {
			for _, place := range asksForTheTime(t, f) {
				t.Errorf("%s: this package is told the time, it does not ask", place)
			}
		}
		if inOneOf(f, stepped) {
			for _, place := range startsGoroutines(t, f) {
				t.Errorf("%s: this package is stepped, it starts no goroutine", place)
			}
		}
	}
	bad := file{path: "bad.go", text: "package bad\nimport \"time\"\nfunc f() { go f(); _ = time.Now() }\n"}
	if len(asksForTheTime(t, bad)) != 1 || len(startsGoroutines(t, bad)) != 1 {
		t.Error("the rule does not bite")
	}
}
