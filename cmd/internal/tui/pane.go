package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"conclave/overlay/wire"
)

const (
	// maxItems and maxBytes are how much a pane remembers; the oldest items go first.
	maxItems = 10_000
	maxBytes = 16 << 20
	// maxCached is how many items' lines are kept ready. It is more than any screen shows.
	maxCached = 1024
)

// layout is what an item needs to know to draw itself.
type layout struct {
	width  int
	method ansi.Method // how the terminal measures
	theme  *theme
	names  int // the width of the column of names
	self   wire.Role
}

// item is something in a pane: a message, or a quiet line.
type item interface {
	// lines draws the item in lines no wider than the layout.
	lines(l layout) []string
	// size is roughly how many bytes it keeps.
	size() int
}

// pane shows the end of a list of items, or an earlier part of it. Only what is visible is ever drawn. Items are named
// by their number since the start, which stays the same when old ones are dropped.
type pane struct {
	layout layout
	height int

	items []item
	first int // number of items[0]
	bytes int
	cache map[int][]string

	// The lower edge of what is shown: the item at it, and how many of the item's lines are below the edge.
	at, below int
	// follow says that the edge is the end and stays there.
	follow bool

	mark int // the item above which "new messages" stands, or -1
}

func newPane() pane { return pane{cache: make(map[int][]string), follow: true, mark: -1, at: -1} }

// last returns the number of the last item, or first-1.
func (p *pane) last() int { return p.first + len(p.items) - 1 }

// get returns an item by its number, or nil when it was dropped.
func (p *pane) get(n int) item {
	if n < p.first || n > p.last() {
		return nil
	}
	return p.items[n-p.first]
}

// add appends an item and returns its number, and what was dropped for it.
func (p *pane) add(it item) (n int, dropped []item) {
	p.items = append(p.items, it)
	p.bytes += it.size()
	if p.follow {
		p.end()
	}
	for len(p.items) > maxItems || p.bytes > maxBytes && len(p.items) > 1 {
		dropped = append(dropped, p.items[0])
		p.bytes -= p.items[0].size()
		p.items[0] = nil
		p.items = p.items[1:]
		delete(p.cache, p.first)
		p.first++
	}
	if p.at < p.first {
		p.at, p.below = p.first, 0
	}
	return p.last(), dropped
}

// changed says that an item draws itself differently now.
func (p *pane) changed(n int) { delete(p.cache, n) }

// redraw says that all items do.
func (p *pane) redraw() { clear(p.cache) }

// setMark moves the mark above an item; -1 removes it.
func (p *pane) setMark(n int) {
	p.changed(p.mark)
	p.changed(n)
	p.mark = n
}

// resize sets what the lines depend on.
func (p *pane) resize(l layout, height int) {
	if l != p.layout {
		p.layout = l
		p.redraw()
	}
	p.height = max(height, 0)
	p.settle()
}

// lines returns the drawn lines of one item, never none.
func (p *pane) lines(n int) []string {
	if lines, ok := p.cache[n]; ok {
		return lines
	}
	if len(p.cache) >= maxCached {
		clear(p.cache)
	}
	lines := p.items[n-p.first].lines(p.layout)
	if n == p.mark {
		lines = append([]string{rule(p.layout, "new messages", warnTone)}, lines...)
	}
	if len(lines) == 0 {
		lines = []string{""}
	}
	p.cache[n] = lines
	return lines
}

// end moves to the end and stays there.
func (p *pane) end() { p.at, p.below, p.follow = p.last(), 0, true }

// top moves to the oldest item.
func (p *pane) top() {
	if len(p.items) > 0 {
		p.at, p.below, p.follow = p.first, len(p.lines(p.first))-1, false
		p.settle()
	}
}

// up moves towards older items by so many lines.
func (p *pane) up(n int) {
	if len(p.items) == 0 {
		return
	}
	p.follow = false
	for n > 0 {
		above := len(p.lines(p.at)) - 1 - p.below
		if n <= above {
			p.below += n
			break
		}
		if p.at == p.first {
			p.below += above
			break
		}
		n -= above + 1
		p.at, p.below = p.at-1, 0
	}
	p.settle()
}

// down moves towards newer items by so many lines.
func (p *pane) down(n int) {
	for n > p.below && p.at < p.last() {
		n -= p.below + 1
		p.at++
		p.below = len(p.lines(p.at)) - 1
	}
	p.below = max(p.below-n, 0)
	p.follow = p.at == p.last() && p.below == 0
}

// settle puts the edge where it can be: on a line that exists, and not so high that the pane is not filled.
func (p *pane) settle() {
	if len(p.items) == 0 || p.follow {
		p.end()
		return
	}
	p.below = min(p.below, len(p.lines(p.at))-1)
	if shown := p.above(p.height); shown < p.height {
		p.down(p.height - shown)
	}
	p.follow = p.at == p.last() && p.below == 0
}

// above counts the lines from the edge upwards, up to a limit.
func (p *pane) above(limit int) int {
	n := len(p.lines(p.at)) - p.below
	for i := p.at - 1; i >= p.first && n < limit; i-- {
		n += len(p.lines(i))
	}
	return min(n, limit)
}

// view returns the lines to show, as many as the pane is high.
func (p *pane) view() []string {
	out := make([]string, p.height)
	if len(p.items) == 0 || p.height == 0 {
		return out
	}
	row := p.above(p.height) // lines fill from the top while they are few
	for i, skip := p.at, p.below; i >= p.first && row > 0; i, skip = i-1, 0 {
		lines := p.lines(i)
		for k := len(lines) - 1 - skip; k >= 0 && row > 0; k-- {
			row--
			out[row] = lines[k]
		}
	}
	return out
}

// rule is a line across the pane with words in it.
func rule(l layout, words string, loud tone) string {
	line := "── " + words + " "
	line = cut(l.method, line, l.width)
	return l.theme.tone(loud).Render(line + strings.Repeat("─", max(l.width-l.method.StringWidth(line), 0)))
}
