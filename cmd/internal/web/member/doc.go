// Package member is the window of a member: the chat, who is here, under which key, and, in a drawer, what is happening
// underneath. It is a client of node's exported API and nothing deeper.
//
//	w := member.New(member.Config{Node: n, Self: role, Lines: lines})
//	w.Mount(server)             // the routes, behind the checks of package web
//	go w.Run(ctx)               // keeps the head of the page up to date
//	for each event e of n { w.Show(e) }
//
// # How it works
//
// A Window keeps what the page shows, in memory and for this run only: the timeline (bounded by number and by bytes),
// the last steps of what happens, and the last lines of the log. The page's first paint is rendered here; then the page
// fetches the state and follows the feed. Everything that is said in words is said here once, in plain English, so that
// the page only places it.
//
//	GET  /             the page, with the end of the timeline in it
//	GET  /state        all that the page shows at first, and the feed's place
//	GET  /events       the feed: entry, sent, gone, status, trace
//	GET  /history      earlier entries of the timeline: ?before=<number>
//	GET  /inspect      what the drawer shows; read only while it is open
//	GET  /log          the last lines of the log
//	GET  /verify       codes to compare; POST remembers what a person found
//	GET  /diagnostics  a text to hand to somebody who helps: no message, no key
//	POST /send, /retry, /rekey
//
// # Guarantees
//
// What other members wrote reaches the browser as JSON strings and becomes text nodes; the first paint is escaped by
// html/template. No secret is in any answer: node hands out none, and Kabc is never asked for. Diagnostics hold no text of
// a message either. A page that is reloaded shows the same timeline again; a page that fell behind, or whose process was
// started again, fetches the state anew.
//
// # What it does not do
//
// It keeps nothing on disk. What people found when they compared codes is kept by node, in the member's state file.
//
// It may be imported by cmd/node.
package member
