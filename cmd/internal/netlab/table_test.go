//go:build linux

package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// document holds the tables; writeVar in the environment has the tests write them anew.
const (
	document = "../../../NETWORKS.md"
	writeVar = "CONCLAVE_LAB_WRITE"
)

// table is a table of the document, whose rows are filled in any order.
type table struct {
	name string // of the marks around it
	head []string
	rows []string // first column

	mu    sync.Mutex
	cells map[string][]string // guarded by mu; the other columns
}

// fill sets the other columns of a row.
func (b *table) fill(row string, cells ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cells == nil {
		b.cells = make(map[string][]string)
	}
	b.cells[row] = cells
}

// String returns the table as Markdown, with the rows that are filled.
func (b *table) String() string { return b.markdown("") }

// markdown returns the table; a row that is not filled stays as it is in old.
func (b *table) markdown(old string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := func(cells []string) string { return fmt.Sprintf("| %s |\n", strings.Join(cells, " | ")) }
	s := line(b.head) + line(slices.Repeat([]string{"---"}, len(b.head)))
	for _, row := range b.rows {
		if cells, filled := b.cells[row]; filled {
			s += line(append([]string{row}, cells...))
			continue
		}
		for before := range strings.Lines(old) {
			if strings.HasPrefix(before, "| "+row+" |") {
				s += before
			}
		}
	}
	return s
}

// print logs the table and, where it is asked for, puts what is filled into the document.
func (b *table) print(t *testing.T) {
	t.Helper()
	t.Logf("\n%s", b)
	if os.Getenv(writeVar) == "" || t.Failed() {
		return
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	begin, end, err := b.place(string(text))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text[:begin]) + b.markdown(string(text[begin:end])) + string(text[end:])
	if err := os.WriteFile(filepath.Clean(document), []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
}

// place returns where in the document the table is.
func (b *table) place(text string) (begin, end int, err error) {
	open, shut := fmt.Sprintf("<!-- %s -->\n", b.name), fmt.Sprintf("<!-- end of %s -->", b.name)
	begin, end = strings.Index(text, open)+len(open), strings.Index(text, shut)
	if begin < len(open) || end < begin {
		return 0, 0, fmt.Errorf("%s has no place for %s", document, b.name)
	}
	return begin, end, nil
}

// The document has the rows that the tests have, in their order.
func TestDocumentNamesEveryRow(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*table{matrixTable(), recoveryTable()} {
		begin, end, err := b.place(string(text))
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for line := range strings.Lines(string(text[begin:end])) {
			if cells := strings.Split(line, " | "); len(cells) == len(b.head) {
				rows = append(rows, strings.TrimPrefix(cells[0], "| "))
			}
		}
		if want := append([]string{b.head[0], "---"}, b.rows...); !slices.Equal(rows, want) {
			t.Errorf("%s: %s has the rows %q, the tests have %q", document, b.name, rows, want)
		}
	}
}

// short prints a duration in the unit that people read.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
