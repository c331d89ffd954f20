// Package node is a member of a Conclave group, without screens.
//
// A Node joins the group through its relay nodes, takes part in the key agreement, and carries the chat:
//
//	n, err := node.New(cfg)          // reads the state file, opens no socket
//	events := n.Subscribe()          // before Run, so that nothing is missed
//	go n.Run(ctx)                    // connects, agrees on keys, sends and receives until ctx ends
//	id, err := n.Send("hello")       // durable, numbered, sent as soon as there is a key
//	for e, ok := events.Next(ctx); ok; e, ok = events.Next(ctx) { ... }
//
// # How it is built
//
// One goroutine, the engine, owns everything that decides: the step machines of the key agreement and of the delivery of
// messages. All other goroutines only feed it, through one bounded queue, or are fed by it:
//
//	topic receiver ─┐                                  ┌─► state: one transaction at a time in state.db
//	uplink         ─┤                                  ├─► courier: RSA workers, share streams, mailbox
//	share streams  ─┼─► engine: steps both machines, ──┼─► uplink: requests to relay nodes
//	reach, shelf   ─┤   performs what they say         ├─► topic
//	Send, Rekey    ─┘                                  └─► subscriptions
//
// All else is rooms of its own below node, each of which is told of the others by node alone: see their pages. Here are the
// engine's loop (engine.go) and what joins the rooms to it: messages.go and sessions.go the delivery of messages, agree.go and
// carry.go the key agreement, relays.go, near.go and here.go those who can be reached, group.go the roster.
//
// # Guarantees
//
// What the step machine wants remembered is durable before anything that follows from it leaves this process. A
// message that Send accepted is shown to each recipient once, and in the order in which it was sent, whatever is lost,
// repeated or reordered on the way; after a crash, what Queued was told of is sent again under the same ID until a relay
// node has stored it or a recipient has acknowledged it. What cannot be had any more, because the backlog no longer holds it, is reported as a Gap.
// Nothing is sent under an epoch that a removed member could read.
//
// # What it does not do
//
// It never prints, never reads flags, and keeps no history of the chat: what a screen wants to remember it remembers
// itself. Presence, counts and paths in the events come from the relay node and are hints.
//
// It may be imported by the commands. It imports overlay, pki and its own sub-packages, never relaynode.
package node
