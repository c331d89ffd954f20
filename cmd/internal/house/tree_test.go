package house

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const (
	module = "conclave"
	root   = "../../.." // the module, from this package's folder
)

// file is one text file of the tree.
type file struct {
	path string // slash-separated, from the module's root
	text string
}

// generated is how Go marks a file that no person writes.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func (f file) isGo() bool        { return strings.HasSuffix(f.path, ".go") }
func (f file) isTest() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f file) isGenerated() bool { return f.isGo() && generated.MatchString(f.text) }

// parse returns the syntax tree of a Go file.
func (f file) parse(t testing.TB) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, f.path, f.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, tree
}

// tree returns every text file of the module, read once.
var tree = sync.OnceValues(func() ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); base == ".git" || base == "bin" || strings.HasPrefix(base, "_") {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || entry.Name() == ".git" {
			return nil // in a linked worktree .git is a file that names the repository's folder
		}
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's file that just went away
		}
		if err != nil {
			return err
		}
		if strings.IndexByte(string(data), 0) >= 0 {
			return nil // not text
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files = append(files, file{path: filepath.ToSlash(relative), text: string(data)})
		return nil
	})
	return files, err
})

// files returns the files of the tree that keep wants, and fails the test if there are none.
func files(t testing.TB, keep func(file) bool) []file {
	t.Helper()
	all, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	var kept []file
	for _, f := range all {
		if keep(f) {
			kept = append(kept, f)
		}
	}
	if len(kept) == 0 {
		t.Fatal("no file of the tree matches: the test looks at nothing")
	}
	return kept
}

// written returns the Go files that people write.
func written(t testing.TB) []file {
	t.Helper()
	return files(t, func(f file) bool { return f.isGo() && !f.isGenerated() })
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Name       string
	Imports    []string // direct, without tests
	Deps       []string // with everything below, without tests
}

// in says whether the package is name or below it, where name is a path from the module's root.
func (p pkg) in(name string) bool { return within(p.ImportPath, path.Join(module, name)) }

// within says whether an import path is prefix or below it.
func within(importPath, prefix string) bool {
	return importPath == prefix || strings.HasPrefix(importPath, prefix+"/")
}

// packages returns all packages of the module, listed once.
var packages = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Imports,Deps", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})
