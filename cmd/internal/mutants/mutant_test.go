package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a small module and returns its folder.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module small\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	source = `package door

// Enter says who may. A comment that names a mark, as in "// defence: comment", is none.
func Enter(name string, age int) bool {
	if name == "mallory" { // defence: name
		return false
	}
	if n := age; n < 18 { // defence: age
		return false
	}
	count++ // defence: count
	return true
}

var count int
`
	tests = `package door

import "testing"

func TestName(t *testing.T) {
	if Enter("mallory", 20) {
		t.Error("mallory is in")
	}
}

func TestAge(t *testing.T) {
	if !Enter("alice", 20) {
		t.Error("alice is out")
	}
}
`
)

// TestTable runs a rule that is tested, one that is not, one whose mutant does not build, and one whose test is missing.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		blocks string
		want   []string
		code   int
	}{
		{
			"name: name\nwith: never\nkills: ./door -run '^TestName$'\n\nname: age\nwith: always\nkills: ./door -run ^TestAge$\n\nname: count\nwith: return false\nkills: ./door -run TestAge\n",
			[]string{"age killed", "count killed", "name killed", "3 passed, 0 failed"},
			0,
		},
		{
			"name: name\nwith: always\nkills: ./door -run TestName\n\nname: age\nwith: nonsense(\nkills: ./door\n\nname: count\nwith: drop\nkills: ./door -run TestNone\n",
			[]string{"age BROKEN", "count BROKEN", "name SURVIVED", "0 passed, 3 failed"},
			1,
		},
		{
			"name: name\nwith: never\nkills: ./door -run TestAge\nkills: ./door -run TestName\n\nname: age\nwith: count = \"x\"; if true {\nkills: ./door\n\nname: count\nwith: never\nkills: ./door\n",
			[]string{"age BROKEN", "count BROKEN", "name killed", "1 passed, 2 failed"},
			1,
		},
	} {
		dir := module(t, map[string]string{"door/door.go": source, "door/door_test.go": tests, "door/testdata/mutants.txt": c.blocks})
		var out, errs bytes.Buffer
		if code := run(context.Background(), dir, nil, &out, &errs); code != c.code {
			t.Errorf("exit code %d, want %d: %s%s", code, c.code, &out, &errs)
		}
		got := strings.Join(strings.Fields(out.String()), " ")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("the table has no %q:\n%s", want, &out)
			}
		}
		if data, err := os.ReadFile(filepath.Join(dir, "door/door.go")); err != nil || string(data) != source {
			t.Error("the source was touched")
		}
	}
}

// TestMarksAndMutantsBelongTogether refuses a mark without a mutant, a mutant without a mark, and names that are there twice.
func TestMarksAndMutantsBelongTogether(t *testing.T) {
	t.Parallel()
	block := func(names ...string) (s string) {
		for _, n := range names {
			s += "name: " + n + "\nwith: never\nkills: ./door\n\n"
		}
		return s
	}
	for want, files := range map[string]map[string]string{
		"has no mutant":        {"door/door.go": source, "door/testdata/mutants.txt": block("name", "age")},
		"has no marked line":   {"door/door.go": source, "door/testdata/mutants.txt": block("name", "age", "count", "gone")},
		"is there twice":       {"door/door.go": source, "door/testdata/mutants.txt": block("name", "age", "count", "age")},
		"beside another":       {"door/door.go": source, "gate/gate.go": source, "door/testdata/mutants.txt": block("name", "age", "count")},
		"has code for 2":       {"door/door.go": source, "door/testdata/mutants.txt": block("age", "count") + "name: name\nwith: never\nwith: never\nkills: ./door\n"},
		"in lower case":        {"door/door.go": source, "door/bad.go": "package door\n\nvar x = 1 // Defence: X\n", "door/testdata/mutants.txt": block("name", "age", "count")},
		"at the end of":        {"door/door.go": source, "door/bad.go": "package door\n\nvar x = 1 // defence: x, because\n", "door/testdata/mutants.txt": block("name", "age", "count")},
		"is none of name":      {"door/testdata/mutants.txt": "name: x\nwit: never\n"},
		"lacks a name, a with": {"door/testdata/mutants.txt": "name: x\nwith: never\n"},
	} {
		if _, err := find(module(t, files)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	all, err := find(module(t, map[string]string{"door/door.go": source, "door/testdata/mutants.txt": block("name", "age", "count")}))
	if err != nil || len(all) != 3 {
		t.Errorf("%d mutants, %v", len(all), err)
	}
}

// TestOfThisModule reads the marks and mutants of the module, and takes each rule out of its source.
func TestOfThisModule(t *testing.T) {
	t.Parallel()
	root := "../../.."
	all, err := find(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no rule is marked: the test looks at nothing")
	}
	for _, m := range all {
		for _, p := range m.places {
			data, err := os.ReadFile(filepath.Join(root, p.file))
			if err != nil {
				t.Fatal(err)
			}
			if changed, err := m.change(p.file, string(data)); err != nil || changed == string(data) {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
}

// TestSeveralLines takes a rule away at all of its lines, in several files, each with its own code.
func TestSeveralLines(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{
		"door/a.go":                 "package door\n\nfunc one() int { return 1 }\n\nfunc A() int {\n\treturn one() // defence: one\n}\n",
		"door/b.go":                 "package door\n\nfunc B() int {\n\treturn one() // defence: one\n}\n",
		"door/door_test.go":         "package door\n\nimport \"testing\"\n\nfunc TestBoth(t *testing.T) {\n\tif A() == 2 && B() == 3 {\n\t\tt.Error(\"gone\")\n\t}\n}\n",
		"door/testdata/mutants.txt": "name: one\nwith: return 2\nwith: return 3\nkills: ./door\n",
	})
	var out, errs bytes.Buffer
	if code := run(context.Background(), dir, []string{"-j", "1"}, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s%s", code, &out, &errs)
	}
	out.Reset()
	if code := run(context.Background(), dir, []string{"-list"}, &out, &errs); code != 0 || strings.Join(strings.Fields(out.String()), " ") != "one door/a.go:6" {
		t.Errorf("the list: %d, %s", code, &out)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "("}, {"-share", "x"}, {"-share", "0/2"}, {"-j", "0"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), t.TempDir(), args, &out, &errs); code != 2 {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), t.TempDir(), nil, &out, &errs); code != 1 {
		t.Errorf("no mutant at all: exit code %d", code)
	}
}
