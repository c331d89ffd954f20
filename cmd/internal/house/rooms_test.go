package house

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// What a room may measure at the most: who has read its page and its door has to be able to change it.
const (
	maxPackageLines = 2500 // of production code that people write
	maxFields       = 25   // of a struct
	maxMethodFiles  = 5    // over which the methods of one type are spread
)

// large are the packages that are larger than a room still. The list only gets shorter.
var large = map[string]string{}

// wide are the types that are wider than a room allows still. The list only gets shorter.
var wide = map[string]string{}

// production returns the Go files that people write and that are no tests, by package.
func production(t testing.TB) map[string][]file {
	t.Helper()
	all := map[string][]file{}
	for _, f := range written(t) {
		if !f.isTest() && !strings.Contains(f.path, "testdata/") {
			all[path.Dir(f.path)] = append(all[path.Dir(f.path)], f)
		}
	}
	return all
}

// widths returns the fields of each struct of a package, and in how many files each type has methods.
func widths(t testing.TB, files []file) (fields, spread map[string]int) {
	t.Helper()
	fields, spread = map[string]int{}, map[string]int{}
	for _, f := range files {
		_, tree := f.parse(t)
		seen := map[string]bool{}
		for _, decl := range tree.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if name := receiver(decl); name != "" && !seen[name] {
					seen[name] = true
					spread[name]++
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						if of, ok := s.Type.(*ast.StructType); ok {
							fields[s.Name.Name] = of.Fields.NumFields()
						}
					}
				}
			}
		}
	}
	return fields, spread
}

// receiver returns the type whose method a function is, or "".
func receiver(f *ast.FuncDecl) (name string) {
	if f.Recv == nil {
		return ""
	}
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return true
	})
	return name
}

func TestPackagesAreRooms(t *testing.T) {
	for folder, files := range production(t) {
		lines := 0
		for _, f := range files {
			lines += strings.Count(f.text, "\n")
		}
		switch reason, listed := large[folder]; {
		case lines > maxPackageLines && !listed:
			t.Errorf("%s has %d lines of production code: divide it by what it decides", folder, lines)
		case lines <= maxPackageLines && listed:
			t.Errorf("%s has %d lines: take it off the list (%s)", folder, lines, reason)
		}
	}
}

func TestTypesAreNotTheWhole(t *testing.T) {
	over := map[string]string{}
	for folder, files := range production(t) {
		fields, spread := widths(t, files)
		for name, n := range fields {
			if n > maxFields {
				over[folder+"."+name] = fmt.Sprintf("has %d fields", n)
			}
		}
		for name, n := range spread {
			if n > maxMethodFiles {
				over[folder+"."+name] = fmt.Sprintf("has methods in %d files", n)
			}
		}
	}
	for name, problem := range over {
		if _, listed := wide[name]; !listed {
			t.Errorf("%s %s: it is the whole of several things", name, problem)
		}
	}
	for name := range wide {
		if _, still := over[name]; !still {
			t.Errorf("%s is no wider than others: take it off the list", name)
		}
	}
	bad := []file{
		{path: "a.go", text: "package bad\ntype T[P any] struct{ a, b int; C }\nfunc (t *T[P]) M() {}\nfunc (T[P]) N() {}\n"},
		{path: "b.go", text: "package bad\nfunc (t T[P]) O() {}\nfunc f() {}\n"},
	}
	if fields, spread := widths(t, bad); fields["T"] != 3 || spread["T"] != 2 || len(spread) != 1 {
		t.Errorf("the rule finds %v, %v", fields, spread)
	}
}

// TestRoomsDoNotImportTheHouse: whoever is told of others by the one above does not know that one.
func TestRoomsDoNotImportTheHouse(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, house := range []string{"node", "relaynode"} {
		rooms := 0
		for _, p := range all {
			if !p.in(house) || p.ImportPath == path.Join(module, house) {
				continue
			}
			rooms++
			if slices.Contains(p.Deps, path.Join(module, house)) && p.ImportPath != "conclave/node/doctor" { // the doctor runs a member
				t.Errorf("%s links %s", p.ImportPath, house)
			}
		}
		if rooms < 2 {
			t.Errorf("%s has %d rooms: the rule looks at nothing", house, rooms)
		}
	}
}
