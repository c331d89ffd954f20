// Package accent gives a role its colour, the same one on every screen.
//
//	role ── Of ──► number below Count ──► a colour of the terminal's (tui) or of web.css (web)
//
// What it guarantees: the number depends on the role alone, so that a person has one colour in the terminal and in each
// window, today and after a restart. What it does not: it knows no colours, since each screen has its own for light and
// dark grounds, and two roles may share a number. web's dom.js computes the same.
//
// Every screen may import it; it imports nothing of ours.
package accent
