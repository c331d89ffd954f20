package web

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPiecesShowWhatHides(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"plain":                     "plain",
		"a\u202eb":                  "a[U+202E]b",
		"\u200b\u2060\ufeff":        "[U+200B][U+2060][U+FEFF]",
		"\x1b[31mred\x07":           "[U+001B][31mred[U+0007]",
		"two\nlines":                "two[U+000A]lines",
		"안녕 مرحبا עברית":            "안녕 مرحبا עברית",
		"<script>alert(1)</script>": "<script>alert(1)</script>",
		"bad\xffbyte":               "bad[U+FFFD]byte",
		"x\u3164y\u2800":            "x[U+3164]y[U+2800]",
		"\U000e0041\u2028":          "[U+E0041][U+2028]",
	} {
		var got strings.Builder
		for _, p := range Pieces(text) {
			if p.Hidden {
				got.WriteString("[" + p.Text + "]")
			} else {
				got.WriteString(p.Text)
			}
		}
		if got.String() != want {
			t.Errorf("%q is shown as %q, want %q", text, got.String(), want)
		}
	}
}

// What pages are made of keeps to the policy: no markup from text, no inline code, nothing from elsewhere.
func TestAssetsKeepToThePolicy(t *testing.T) {
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\("|srcdoc|javascript:`)
	elsewhere := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]`)
	count := 0
	err := fs.WalkDir(shared(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(shared(), name)
		if err != nil {
			return err
		}
		count++
		text := strings.ReplaceAll(string(data), "http://www.w3.org/2000/svg", "")
		if m := bad.FindString(text); m != "" && path.Ext(name) == ".js" {
			t.Errorf("%s has %s", name, m)
		}
		if m := elsewhere.FindString(text); m != "" {
			t.Errorf("%s names %s", name, m)
		}
		return nil
	})
	if err != nil || count == 0 {
		t.Fatalf("%d files, %v", count, err)
	}
}

func TestAssetsAreNamedByTheirContent(t *testing.T) {
	one, err := newAssets([]fs.FS{fstest.MapFS{"a.js": {Data: []byte("1")}}})
	if err != nil {
		t.Fatal(err)
	}
	two, err := newAssets([]fs.FS{fstest.MapFS{"a.js": {Data: []byte("2")}}})
	if err != nil {
		t.Fatal(err)
	}
	if one.path("a.js") == two.path("a.js") {
		t.Error("two contents have one path")
	}
	if _, err := newAssets([]fs.FS{fstest.MapFS{"a.exe": {}}}); err == nil {
		t.Error("it serves a file of no known kind")
	}
	if _, err := newAssets([]fs.FS{fstest.MapFS{"a.js": {Data: []byte("1")}}, fstest.MapFS{"a.js": {Data: []byte("2")}}}); err == nil {
		t.Error("one of two files is lost")
	}
}
