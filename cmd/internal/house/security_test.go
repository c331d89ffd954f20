package house

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(\w* ?\*testing\.[TFB]\)`)
	named    = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)[^`]*`")
)

// threats returns the rows of every table in a Markdown text whose header's last cell is "test", each as its cells.
func threats(markdown string) (rows [][]string) {
	inTable := false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inTable = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case strings.HasPrefix(cells[len(cells)-1], "test"):
			inTable = true
		case inTable && !strings.HasPrefix(cells[0], "--"):
			rows = append(rows, cells)
		}
	}
	return rows
}

// tests returns the names of all tests, fuzz targets and benchmarks of the tree.
func tests(t testing.TB) map[string]bool {
	all := map[string]bool{}
	for _, f := range files(t, file.isTest) {
		for _, match := range declared.FindAllStringSubmatch(f.text, -1) {
			all[match[1]] = true
		}
	}
	return all
}

// unproven returns what is wrong with a threat table, given the tests that exist.
func unproven(markdown string, exists map[string]bool) (problems []string) {
	for _, row := range threats(markdown) {
		if len(row) != 4 || slices.Contains(row, "") {
			problems = append(problems, fmt.Sprintf("the row %q does not say attacker, attack, defence and test", row))
			continue
		}
		if !named.MatchString(row[3]) {
			problems = append(problems, fmt.Sprintf("the attack %q names no test", row[1]))
		}
	}
	for _, match := range named.FindAllStringSubmatch(markdown, -1) {
		if !exists[match[1]] {
			problems = append(problems, fmt.Sprintf("there is no test %s", match[1]))
		}
	}
	return problems
}

func TestEveryThreatHasItsTest(t *testing.T) {
	exists := tests(t)
	security := text(t, "SECURITY.md")
	if n := len(threats(security.text)); n < 20 {
		t.Errorf("the threat table of %s has %d rows: is it still the table?", security.path, n)
	}
	for _, problem := range unproven(security.text, exists) {
		t.Errorf("%s: %s", security.path, problem)
	}
	for _, f := range texts(t) {
		for _, match := range named.FindAllStringSubmatch(f.text, -1) {
			if f.path != security.path && !exists[match[1]] {
				t.Errorf("%s: there is no test %s", f.path, match[1])
			}
		}
	}
}

func TestThreatTableRuleBites(t *testing.T) {
	table := "| attacker | attack | defence | test |\n|---|---|---|---|\n" +
		"| relay | reads | keys | `TestGood` |\n| relay | drops | counters | see above |\n| relay | lies | `TestGone/sub` |\n" +
		"\n| other | table |\n|---|---|\n| a | b |\n"
	got := unproven(table, map[string]bool{"TestGood": true})
	if len(got) != 3 {
		t.Errorf("the rule finds %q", got)
	}
	if len(threats(table)) != 3 {
		t.Errorf("the table is read as %q", threats(table))
	}
	if all := slices.Collect(maps.Keys(tests(t))); !slices.Contains(all, "TestThreatTableRuleBites") {
		t.Error("this very test is not found")
	}
}
