package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	name  string
	with  string
	kills []string // arguments of go test
	file  string   // of the marked line, from the module's root; empty: there is no such line
	line  int      // from 0
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

var marker = regexp.MustCompile(`// defence: ([a-z0-9-]+)$`)

// find returns the mutants of a module, in the order of their files and names. A marker without a mutant, a mutant without
// a marker and a name that is there twice are errors.
func find(root string) ([]mutant, error) {
	places, blocks := map[string]mutant{}, map[string]mutant{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		if d.Name() == "mutants.txt" && filepath.Base(filepath.Dir(path)) == "testdata" {
			return readBlocks(path, blocks)
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
	for name, place := range places {
		m, ok := blocks[name]
		if !ok {
			return nil, fmt.Errorf("%s:%d: the rule %s has no mutant", place.file, place.line+1, name)
		}
		m.file, m.line = place.file, place.line
		all = append(all, m)
	}
	for name := range blocks {
		if _, ok := places[name]; !ok {
			return nil, fmt.Errorf("the mutant %s has no marked line", name)
		}
	}
	slices.SortFunc(all, func(a, b mutant) int { return cmp.Or(strings.Compare(a.file, b.file), strings.Compare(a.name, b.name)) })
	return all, nil
}

func readMarkers(root, path string, places map[string]mutant) error {
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
		if match == nil {
			continue
		}
		if old, twice := places[match[1]]; twice {
			return fmt.Errorf("the rule %s is marked in %s and in %s", match[1], old.file, relative)
		}
		places[match[1]] = mutant{file: relative, line: i}
	}
	return nil
}

func readBlocks(path string, blocks map[string]mutant) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		var m mutant
		for _, line := range strings.Split(block, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "name":
				m.name = value
			case "with":
				m.with = value
			case "kills":
				m.kills = append(m.kills, value)
			default:
				return fmt.Errorf("%s: the line %q is none of name, with and kills", path, line)
			}
		}
		if m.name == "" || m.with == "" || len(m.kills) == 0 {
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

// change returns the source without the rule.
func (m mutant) change(source string) (string, error) {
	lines := strings.Split(source, "\n")
	code := strings.TrimRight(marker.ReplaceAllString(lines[m.line], ""), " \t")
	indent := code[:len(code)-len(strings.TrimLeft(code, "\t"))]
	code = code[len(indent):]
	switch m.with {
	case "never", "always":
		parts := condition.FindStringSubmatch(code)
		if parts == nil {
			return "", fmt.Errorf("the marked line is no if: %s", code)
		}
		constant := map[string]string{"never": "false && (", "always": "true || ("}[m.with]
		code = parts[1] + parts[2] + constant + parts[3] + ")" + parts[4]
	case "drop":
		code = ""
	default:
		code = m.with
	}
	lines[m.line] = indent + code
	changed := strings.Join(lines, "\n")
	if _, err := parser.ParseFile(token.NewFileSet(), m.file, changed, parser.SkipObjectResolution); err != nil {
		return "", err
	}
	return changed, nil
}

// try builds the mutant and runs its tests until one fails.
func (m mutant) try(ctx context.Context, root string) (verdict, string) {
	path, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		return broken, err.Error()
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return broken, err.Error()
	}
	changed, err := m.change(string(source))
	if err != nil {
		return broken, err.Error()
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return broken, err.Error()
	}
	defer os.RemoveAll(dir)
	file, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: file}})
	if err = errors.Join(err, os.WriteFile(file, []byte(changed), 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		return broken, err.Error()
	}
	for _, test := range m.kills {
		if v, why := runTest(ctx, root, overlay, test); v != survived {
			return v, why
		}
	}
	return survived, m.file
}

// runTest runs one go test with the overlay.
func runTest(ctx context.Context, root, overlay, test string) (verdict, string) {
	args := append([]string{"test", "-overlay", overlay, "-count=1", "-timeout", tryLimit.String()}, words(test)...)
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
