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
// One goroutine, the engine, owns everything that decides: the key agreement's step machine, the frame sessions, the
// outbox and the ordering buffers. All other goroutines only feed it, through one bounded queue, or are fed by it:
//
//	topic receiver ─┐                                  ┌─► state: one transaction at a time in state.db
//	uplink         ─┤                                  ├─► courier: RSA workers, share streams, mailbox
//	share streams  ─┼─► engine: step, open, order, ────┼─► uplink: requests to relay nodes
//	reach, shelf   ─┤   seal, sign, dispatch           ├─► topic
//	Send, Rekey    ─┘                                  └─► subscriptions
//
// What does I/O, or decides apart from messages, is a room of its own below node, and is told of the others by node alone:
// see their pages. Of the rest chats.go knows the sessions in use, inbound.go, lane.go and fetch.go what arrives, outbox.go
// and acks.go what leaves; relays.go, carry.go, here.go, near.go and verify.go join the rooms to the engine.
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
