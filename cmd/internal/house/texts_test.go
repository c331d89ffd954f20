package house

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```[ \t]*$")
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	command = regexp.MustCompile(`\./(cmd/\w+|\.ci/run)`)
	section = regexp.MustCompile(`\b[Ss]ections? (\d+(?:\.\d+)*)`)
	number  = regexp.MustCompile(`^(\d+(?:\.\d+)*)\.? `)
)

// texts returns the Markdown files of the tree.
func texts(t testing.TB) []file {
	t.Helper()
	return files(t, func(f file) bool { return strings.HasSuffix(f.path, ".md") && !strings.Contains(f.path, "testdata/") })
}

// text returns one file of the tree.
func text(t testing.TB, name string) file {
	t.Helper()
	return files(t, func(f file) bool { return f.path == name })[0]
}

// anchors returns the anchors that the headings of a Markdown text make, as code hosts make them.
func anchors(markdown string) (made []string) {
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(markdown, ""), -1) {
		made = append(made, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
				return r
			}
			return -1
		}, strings.ToLower(match[1])))
	}
	return made
}

// deadLinks returns the links of f that lead nowhere inside the tree. Links to other hosts are not followed.
func deadLinks(f file, read func(name string) (string, error)) (dead []string) {
	for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(f.text, ""), -1) {
		target, anchor, _ := strings.Cut(match[1], "#")
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		body := f.text
		if target != "" {
			var err error
			if body, err = read(path.Join(path.Dir(f.path), target)); err != nil {
				dead = append(dead, match[1])
				continue
			}
		}
		if anchor != "" && !slices.Contains(anchors(body), anchor) {
			dead = append(dead, match[1])
		}
	}
	return dead
}

func TestLinksLeadSomewhere(t *testing.T) {
	read := func(name string) (string, error) {
		name = filepath.Join(root, filepath.FromSlash(name))
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			return "", err
		}
		data, err := os.ReadFile(name)
		return string(data), err
	}
	for _, f := range texts(t) {
		for _, dead := range deadLinks(f, read) {
			t.Errorf("%s: the link %s leads nowhere", f.path, dead)
		}
	}
	bad := file{path: "a/b.md", text: "# One two\n[ok](#one-two) [no](#three) [gone](../missing-file.md) [far](https://example.org/x)"}
	if got := fmt.Sprint(deadLinks(bad, read)); got != "[#three ../missing-file.md]" {
		t.Errorf("the rule finds %s", got)
	}
}

func TestCommandsInTextsExist(t *testing.T) {
	for _, f := range texts(t) {
		for _, match := range command.FindAllStringSubmatch(f.text, -1) {
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s names ./%s, which is not there", f.path, match[1])
			}
		}
	}
}

// unknownSections returns the numbers of sections that a text refers to and does not have, and emptySections the
// headings with nothing below them.
func unknownSections(markdown string) (unknown []string) {
	var have []string
	for _, match := range heading.FindAllStringSubmatch(markdown, -1) {
		if n := number.FindStringSubmatch(match[1]); n != nil {
			have = append(have, n[1])
		}
	}
	for _, match := range section.FindAllStringSubmatchIndex(markdown, -1) {
		after := markdown[match[1]:min(match[1]+8, len(markdown))]
		if n := markdown[match[2]:match[3]]; !slices.Contains(have, n) && !strings.HasPrefix(strings.TrimSpace(after), "of RFC") {
			unknown = append(unknown, n)
		}
	}
	return unknown
}

func emptySections(markdown string) (empty []string) {
	markdown = fence.ReplaceAllString(markdown, "code")
	at := heading.FindAllStringSubmatchIndex(markdown, -1)
	level := func(i int) int { return strings.IndexByte(markdown[at[i][0]:], ' ') }
	for i := range at {
		end, parent := len(markdown), false
		if i+1 < len(at) {
			end, parent = at[i+1][0], level(i+1) > level(i)
		}
		if !parent && strings.TrimSpace(markdown[at[i][1]:end]) == "" {
			empty = append(empty, markdown[at[i][2]:at[i][3]])
		}
	}
	return empty
}

func TestSpecificationIsWhole(t *testing.T) {
	spec := text(t, "overlay/SPEC.md")
	for _, n := range unknownSections(spec.text) {
		t.Errorf("%s refers to a section %s, which it does not have", spec.path, n)
	}
	for _, f := range texts(t) {
		for _, title := range emptySections(f.text) {
			t.Errorf("%s: nothing stands under %q", f.path, title)
		}
	}
	bad := "# T\n## 1. One\n### 1.1 In one\nSee section 1.2, section 7 of RFC 5, section 1.1.\n## 2. Two\n"
	if got := fmt.Sprint(unknownSections(bad), emptySections(bad)); got != "[1.2] [2. Two]" {
		t.Errorf("the rule finds %s", got)
	}
}
