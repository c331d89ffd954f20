package house

import (
	"fmt"
	"go/ast"
	"go/format"
	"path"
	"regexp"
	"strings"
	"testing"
)

// maxLines is the longest file that people are asked to read.
const maxLines = 600

// packageComment says what is wrong with the comment a package opens with, or "".
func packageComment(name, comment string) string {
	prefix := "Package " + name + " "
	if name == "main" {
		prefix = "Command "
	}
	switch {
	case comment == "":
		return "has no package comment"
	case !strings.HasPrefix(comment, prefix):
		return fmt.Sprintf("has a package comment that does not begin with %q", prefix)
	case strings.Count(strings.TrimSpace(comment), "\n") < 2:
		return "has a package comment of a line or two: say what it is, what it guarantees and what it does not"
	}
	return ""
}

func TestEveryPackageOpensWithAPage(t *testing.T) {
	names, comments := map[string]string{}, map[string]string{}
	for _, f := range files(t, func(f file) bool { return f.isGo() && !f.isTest() }) {
		_, tree := f.parse(t)
		folder := path.Dir(f.path)
		if strings.Contains(f.path, "testdata/") {
			continue
		}
		names[folder] = tree.Name.Name
		if tree.Doc == nil {
			continue
		}
		if comments[folder] != "" && !f.isGenerated() {
			t.Errorf("%s: %s has a second package comment", f.path, folder)
		}
		if !f.isGenerated() {
			comments[folder] = tree.Doc.Text()
		}
	}
	for folder, name := range names {
		if problem := packageComment(name, comments[folder]); problem != "" {
			t.Errorf("%s %s", folder, problem)
		}
	}
	for _, bad := range []string{"", "Package x does x.\n", "X is\na longer\ntext.\n"} {
		if packageComment("x", bad) == "" {
			t.Errorf("the rule lets %q pass", bad)
		}
	}
}

// undocumented returns the exported declarations of f that have no comment. A comment on a group serves its members.
func undocumented(t testing.TB, f file) (places []string) {
	set, tree := f.parse(t)
	report := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if doc != nil {
				return
			}
		}
		if name.IsExported() {
			places = append(places, fmt.Sprintf("%s: %s", set.Position(name.Pos()), name.Name))
		}
	}
	for _, decl := range tree.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil || exportedReceiver(decl.Recv) {
				report(decl.Name, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					report(spec.Name, decl.Doc, spec.Doc, spec.Comment)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						report(name, decl.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
	return places
}

func exportedReceiver(list *ast.FieldList) bool {
	exported := true
	ast.Inspect(list.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			exported = id.IsExported()
			return false
		}
		return exported
	})
	return exported
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, f := range written(t) {
		if f.isTest() || strings.Contains(f.path, "testdata/") {
			continue
		}
		for _, place := range undocumented(t, f) {
			t.Errorf("%s is exported and not documented", place)
		}
	}
	bad := file{path: "bad.go", text: "package bad\n\ntype T int\n\nfunc (T) M() {}\n\nfunc (t) N() {}\n\n// Good is.\nconst (\n\tGood = 1\n\tBetter = 2\n)\n"}
	if got := undocumented(t, bad); len(got) != 2 {
		t.Errorf("the rule finds %q", got)
	}
}

func TestEveryFileIsFormatted(t *testing.T) { // .ci/run asks gofumpt too, which is stricter
	for _, f := range files(t, file.isGo) {
		if strings.Contains(f.path, "testdata/") {
			continue
		}
		formatted, err := format.Source([]byte(f.text))
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
		} else if string(formatted) != f.text {
			t.Errorf("%s is not formatted: run gofmt -w on it", f.path)
		}
	}
}

func TestNoFileIsTooLongToRead(t *testing.T) {
	for _, f := range written(t) {
		if n := strings.Count(f.text, "\n"); n > maxLines {
			t.Errorf("%s has %d lines, the longest allowed is %d: split it by idea", f.path, n, maxLines)
		}
	}
}

// stray is text that does not belong into the tree. The patterns are taken apart so that this file does not hold them.
var stray = []struct {
	pattern *regexp.Regexp
	goOnly  bool
	noTests bool // tests may hold it, as data
	reason  string
}{
	{regexp.MustCompile(`(^|[^\w.$}/>-])/(` + `work|root|home/\w+|tmp/bash_\w+)/`), false, false, "a path of one machine"},
	{regexp.MustCompile(`\b(` + `proxy\.golang|sum\.golang|registry\.npmjs)\.org`), false, false, "a registry's host"},
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|(?i:not ` + `implemented)`), true, false, "something unfinished"},
	{regexp.MustCompile(`\bt\.Skip` + `\(\)|\bt\.Skip` + `Now\(`), true, false, "a test that is skipped without a word"},
	{regexp.MustCompile(`[\x{1F300}-\x{1FAFF}\x{2600}-\x{27BF}]`), false, true, "a pictogram"},
}

// strays returns what does not belong into f.
func strays(f file) (found []string) {
	for _, s := range stray {
		if s.goOnly && (!f.isGo() || f.isGenerated()) || s.noTests && (f.isTest() || strings.Contains(f.path, "testdata/")) {
			continue
		}
		for _, at := range s.pattern.FindAllStringIndex(f.text, -1) {
			line := 1 + strings.Count(f.text[:at[0]], "\n")
			found = append(found, fmt.Sprintf("%s:%d: %q is %s", f.path, line, f.text[at[0]:at[1]], s.reason))
		}
	}
	return found
}

func TestNothingStrayIsInTheTree(t *testing.T) {
	for _, f := range files(t, func(f file) bool { return f.path != "go.sum" }) {
		for _, found := range strays(f) {
			t.Error(found)
		}
	}
	for _, bad := range []string{"open /" + "root/go/pkg", "`/" + "home/ann/x`", "// TO" + "DO: later", "t.Skip" + "()", "\U0001F512"} {
		if len(strays(file{path: "bad.go", text: bad})) == 0 {
			t.Errorf("the rule lets %q pass", bad)
		}
	}
}

// counted is a number before a noun in the plural, which is wrong of one. What stands before it excuses a number that is never
// one: a limit, or a size that is wrong.
var counted = regexp.MustCompile(`(\w+,? )?%d (?:new )?([a-z]+s)\b`)

// onePlural returns where a text for people may say "1 messages".
func onePlural(f file) (found []string) {
	for i, line := range strings.Split(f.text, "\n") {
		for _, match := range counted.FindAllStringSubmatch(line, -1) {
			limit := strings.Contains(line, "than %d") || strings.Contains(line, "to %d") || strings.Contains(line, "at most %d") || strings.Contains(line, ", not %d")
			verb := match[2] == "is" || match[2] == "was" || match[2] == "has" || match[2] == "ms"
			if !limit && !verb {
				found = append(found, fmt.Sprintf("%s:%d: %q", f.path, i+1, match[0]))
			}
		}
	}
	return found
}

// TestOneIsNoPlural: what people read counts with words.Count.
func TestOneIsNoPlural(t *testing.T) {
	for _, f := range written(t) {
		screen := strings.HasPrefix(f.path, "cmd/") && !strings.HasPrefix(f.path, "cmd/internal/mutants/") || strings.HasPrefix(f.path, "node/doctor/")
		if !screen || f.isTest() {
			continue
		}
		for _, place := range onePlural(f) {
			t.Errorf("%s is wrong of 1: use words.Count", place)
		}
	}
	if got := onePlural(file{path: "bad.go", text: "\"%d peers on it\"\n\"more than %d bytes\"\n\"%d is here\"\n\"%d new messages\""}); len(got) != 2 {
		t.Errorf("the rule finds %q", got)
	}
}
