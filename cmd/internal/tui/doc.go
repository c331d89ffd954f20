// Package tui is the terminal screen of a member: the chat, who is there, how things stand, and what is happening.
//
//	 B   local   connected by relay node   epoch 1795380805123   Kabc 3f9a0c12ab34cd56   end-to-end encrypted
//	──────────────────────────────────────────────────────────────────────────────────────────────
//	── Sunday, 22 November 2026 ──                                          │ Members
//	20:53     Final session key Kabc = 3f9a0c12ab34cd56 (epoch …)           │ ● A   relay   has the key
//	20:53  A  good evening                                                  │ ● B   you     has the key
//	20:54  B  hello                            ◐ at the relay node          │ ○ C   away    unconfirmed
//	──────────────────────────────────────────────────────────────────────────────────────────────
//	› a line that is being typed
//	Enter sends · Alt+Enter new line · PgUp PgDn scroll · F2 what is happening · /help
//
// It is a client of node's exported API and decides nothing. What arrives is appended above the input and never touches
// it. The scrollback is what happened since the start: the node keeps no history and neither does this package.
//
// What others wrote, names and reasons included, goes through package inert before it is drawn: no text moves the
// cursor, sets the title or changes colours. Width is measured as the renderer measures it, in terminal cells by
// grapheme, so Korean, emoji and marks wrap where the terminal wraps them. Colour is never the only sign of anything, and
// with NO_COLOR there is none.
//
// Run has the terminal while it runs and gives it back as it was, also when ctx ends or something panics in here. Logs
// go to the second view (Logs), because nothing else may write to the terminal meanwhile.
package tui
