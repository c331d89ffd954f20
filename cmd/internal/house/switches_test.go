package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// Production code holds no switch that turns a defence off: a reader would meet the attack in the middle of the defence, and a
// wrong value would be a hole. What a test needs to show that a rule is needed, the mutants do (cmd/internal/mutants).

// switchName is what such switches are called.
var switchName = regexp.MustCompile(`(?i)defen[cs]es?$|^faults?$|hooks?$|^(no|skip|without|allow|disable|ignore)[A-Z]?\w*(check|admission|signature|verif\w*|acl|gate|auth\w*|owner|revocation)$|insecure`)

// forTests is how a comment says that only tests set something.
var forTests = regexp.MustCompile(`(?i)\b(by|for|in) tests?\b|tests? only|switched off`)

// switches returns the declarations of a file that look like one: a name of that kind, or a bool that only tests set.
func switches(f file) (found []string) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, f.path, f.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	look := func(names []*ast.Ident, kind ast.Expr, comments ...*ast.CommentGroup) {
		for _, name := range names {
			ident, isIdent := kind.(*ast.Ident)
			said := ""
			for _, c := range comments {
				said += c.Text()
			}
			if switchName.MatchString(name.Name) || isIdent && ident.Name == "bool" && forTests.MatchString(said) {
				found = append(found, name.Name)
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			look(n.Names, n.Type, n.Doc, n.Comment)
		case *ast.ValueSpec:
			look(n.Names, n.Type, n.Doc, n.Comment)
		case *ast.TypeSpec:
			look([]*ast.Ident{n.Name}, n.Type, n.Doc, n.Comment)
		}
		return true
	})
	return found
}

func TestNoSwitchTurnsADefenceOff(t *testing.T) {
	t.Parallel()
	for folder, files := range production(t) {
		for _, f := range files {
			if onlyForTests(folder) {
				continue
			}
			for _, name := range switches(f) {
				t.Errorf("%s: %s looks like a switch that turns a defence off: mark the rule and write a mutant", f.path, name)
			}
		}
	}
	bad := file{path: "a.go", text: `package bad

type Defences struct{ AnyPeer bool }

type config struct {
	noTopicCheck bool
	deaf         bool // switched on by tests only
	fine         bool // the relay node is there
	hooks        *int
}

var insecure bool
`}
	if got := strings.Join(switches(bad), " "); got != "Defences noTopicCheck deaf hooks insecure" {
		t.Errorf("the rule finds %q", got)
	}
}

// onlyForTests reports whether a package exists for tests.
func onlyForTests(folder string) bool {
	for _, p := range onlyTests {
		if folder == p || strings.HasPrefix(folder, p+"/") {
			return true
		}
	}
	return false
}
