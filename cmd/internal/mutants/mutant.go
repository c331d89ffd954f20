package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// mutant is one rule, what takes its place, and which tests must then fail.
type mutant struct {
	name   string
	with   []string // one for all marked lines, or one for each
	kills  []string // arguments of go test
	folder string   // of its block, from the module's root
	places []place  // the marked lines, in the order of their files and lines
}

// place is a marked line.
type place struct {
	file string // from the module's root
	line int    // from 0
}

// verdict is what became of a mutant.
type verdict string

// The verdicts.
const (
	killed   verdict = "killed"
	survived verdict = "SURVIVED"
	broken   verdict = "BROKEN"
)

// tryLimit is how long one test may run: one that hangs without the rule is killed by it.
const tryLimit = 3 * time.Minute

const prefix = "//" + " defence: " // in two, so that this line is none

var (
	marker  = regexp.MustCompile(prefix + `([a-z0-9-]+)$`)
	attempt = regexp.MustCompile(`//\s*[Dd]efence:`) // at a marker; what is none is a mistake
)

// find returns the mutants of a module, in the order of their files and names. A marker without a mutant beside its package, a
// mutant without a marker, a name that is there twice and what looks like a marker and is none are errors.
func find(root string) ([]mutant, error) {
	places, blocks := map[string][]place{}, map[string]mutant{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		if d.Name() == "mutants.txt" && filepath.Base(filepath.Dir(path)) == "testdata" {
			return readBlocks(root, path, blocks)
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			return readMarkers(root, path, places)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []mutant
	for name, marked := range places {
		m, ok := blocks[name]
		if !ok {
			return nil, fmt.Errorf("%s:%d: the rule %s has no mutant", marked[0].file, marked[0].line+1, name)
		}
		for _, p := range marked {
			if filepath.Dir(p.file) != m.folder {
				return nil, fmt.Errorf("%s:%d: the rule %s has its mutant beside another package, %s", p.file, p.line+1, name, m.folder)
			}
		}
		if len(m.with) > 1 && len(m.with) != len(marked) {
			return nil, fmt.Errorf("the rule %s is marked at %d lines and its mutant has code for %d", name, len(marked), len(m.with))
		}
		m.places = marked
		all = append(all, m)
	}
	for name := range blocks {
		if _, ok := places[name]; !ok {
			return nil, fmt.Errorf("the mutant %s has no marked line", name)
		}
	}
	slices.SortFunc(all, func(a, b mutant) int {
		return cmp.Or(strings.Compare(a.folder, b.folder), strings.Compare(a.name, b.name))
	})
	return all, nil
}

func readMarkers(root, path string, places map[string][]place) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "//") {
			continue
		}
		match := marker.FindStringSubmatch(line)
		switch {
		case match != nil:
			places[match[1]] = append(places[match[1]], place{relative, i})
		case attempt.MatchString(line):
			return fmt.Errorf("%s:%d: a marker is %q and a name in lower case, at the end of its line", relative, i+1, prefix)
		}
	}
	return nil
}

func readBlocks(root, path string, blocks map[string]mutant) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	folder, err := filepath.Rel(root, filepath.Dir(filepath.Dir(path)))
	if err != nil {
		return err
	}
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		m := mutant{folder: folder}
		for _, line := range strings.Split(block, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "name":
				m.name = value
			case "with":
				m.with = append(m.with, value)
			case "kills":
				m.kills = append(m.kills, value)
			default:
				return fmt.Errorf("%s: the line %q is none of name, with and kills", path, line)
			}
		}
		if m.name == "" || len(m.with) == 0 || len(m.kills) == 0 {
			return fmt.Errorf("%s: the block %q lacks a name, a with or a kills", path, block)
		}
		if _, twice := blocks[m.name]; twice {
			return fmt.Errorf("%s: the mutant %s is there twice", path, m.name)
		}
		blocks[m.name] = m
	}
	return nil
}

var condition = regexp.MustCompile(`^((?:\} else )?if )((?:[^;{]*; )?)(.*)( \{)$`)

// change returns a file's source without the rule.
func (m mutant) change(file, source string) (string, error) {
	lines := strings.Split(source, "\n")
	for i, p := range m.places {
		if p.file != file {
			continue
		}
		changed, err := replace(lines[p.line], m.with[min(i, len(m.with)-1)])
		if err != nil {
			return "", err
		}
		lines[p.line] = changed
	}
	changed := strings.Join(lines, "\n")
	_, err := parser.ParseFile(token.NewFileSet(), file, changed, parser.SkipObjectResolution)
	return changed, err
}

// replace returns a marked line without its rule.
func replace(line, with string) (string, error) {
	code := strings.TrimRight(marker.ReplaceAllString(line, ""), " \t")
	indent := code[:len(code)-len(strings.TrimLeft(code, "\t"))]
	code = code[len(indent):]
	switch with {
	case "never", "always":
		parts := condition.FindStringSubmatch(code)
		if parts == nil {
			return "", fmt.Errorf("the marked line is no if: %s", code)
		}
		constant := map[string]string{"never": "false && (", "always": "true || ("}[with]
		code = parts[1] + parts[2] + constant + parts[3] + ")" + parts[4]
	case "drop":
		code = ""
	default:
		code = with
	}
	return indent + code, nil
}

// try builds the mutant and runs its tests until one fails.
func (m mutant) try(ctx context.Context, root string) (verdict, string) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return broken, err.Error()
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return broken, err.Error()
	}
	for _, test := range m.kills {
		if v, why := runTest(ctx, root, overlay, test); v != survived {
			return v, why
		}
	}
	return survived, m.folder
}

// overlay writes the changed files into a folder, and returns the file that tells go test of them.
func (m mutant) overlay(root, dir string) (string, error) {
	replace := map[string]string{}
	for i, p := range m.places {
		path, err := filepath.Abs(filepath.Join(root, p.file))
		if err != nil {
			return "", err
		}
		if replace[path] != "" {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		changed, err := m.change(p.file, string(source))
		if err != nil {
			return "", err
		}
		replace[path] = filepath.Join(dir, fmt.Sprintf("mutant%d.go", i))
		if err := os.WriteFile(replace[path], []byte(changed), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// runTest runs one go test with the overlay.
func runTest(ctx context.Context, root, overlay, test string) (verdict, string) {
	args := append([]string{"test", "-overlay", overlay, "-count=1", "-vet=off", "-timeout", tryLimit.String()}, words(test)...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return broken, "interrupted"
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		return broken, "it does not build: " + firstLine(out)
	case bytes.Contains(out, []byte("[no tests to run]")), bytes.Contains(out, []byte("[no test files]")):
		return broken, "no test is run: " + test
	case err == nil:
		return survived, ""
	case bytes.Contains(out, []byte("--- FAIL")), bytes.Contains(out, []byte("panic: ")):
		return killed, test
	}
	return broken, firstLine(out)
}

// words splits a command line at spaces outside of single quotes.
func words(s string) (list []string) {
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

func firstLine(out []byte) string {
	first, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(first)
}
