// Package inert makes text that others wrote harmless to show in a terminal.
//
// A message, a name or a reason that came over the network may hold characters that a terminal obeys instead of
// showing: escape sequences that move the cursor, set the title or answer questions on the user's behalf, controls that
// reverse the direction of writing, and characters without any width, behind which text hides. What this package
// returns holds none of them: each is replaced by its number, as in \x1b or \u202e.
//
// It does not judge what is visible: look-alike letters stay what they are. It may be imported by every screen; it
// imports nothing of ours.
package inert
