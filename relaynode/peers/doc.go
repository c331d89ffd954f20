// Package peers is what the relay nodes of a group are to each other: a session with every other one of the roster.
//
//	roster, configured addresses ──► dial: one goroutine for each, with backoff; of two sessions at once one is kept
//	                                   │
//	                                   ▼                                  (package serve: the request loop)
//	members' sessions ◄──Members──  a link to one relay node  ──► Presence: which members are there
//	mailbox           ◄──Mail─────  forwarder: mail goes where its recipient is ──► Forward, Collected
//	backlog           ◄──Batches──  copier: what is missing here is fetched     ──► Heads, Fetch, Copied
//
// # Guarantees
//
// A relay node believes another one as far as availability goes and no further. Who has a session there is a hint: it decides
// where mail is tried, and mail stays here until its recipient's acknowledgement comes back. That is believed only of mail that
// was handed there. Mail of another relay node is handed on and never stored, so it makes one hop at most, and no loop can be.
// Batches are verified by whoever takes them in (Config.Batches). Each side keeps what it is told within bounds, and every
// drop is counted under one of the names in peers.go.
//
// # What it does not do
//
// It neither verifies batches nor takes rosters, and holds no member's session: it is told of them by Members. It relays no
// circuits, but keeps a slot at the relay nodes behind which this one is to be reached.
//
// Run owns the goroutines that dial; each link has its stream's goroutine and one each that tells, copies and reserves, for
// which that one waits. The package may be imported by relaynode alone, and imports overlay, pki and the rooms of relaynode.
package peers
