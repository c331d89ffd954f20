// Package relaynode is the relay node: the one place that every member of a group can reach, and that is trusted for
// nothing but availability.
//
// It hosts the group's topic, relays circuits between members, keeps sealed shares for members who are away (package
// mailbox) and a log of sealed batches for members who missed some (package backlog), and hands rosters on.
//
//	member                                relay node
//	  | -- connection (Noise or TLS) ------> |  peer in the roster? else closed after 10 s
//	  | -- topic: subscribe, publish ------> |  roster members only; each batch stored, then Stored{IDs}
//	  | -- circuit: reserve, connect ------> |  roster members only, both ends
//	  | -- session: handshake -------------> |  certificate, nonce, time, signature, both ways
//	  | <-- Presence, Heads, Delivery ------ |  hints, the backlog's state, pending mail
//	  | -- Deposit, Store, Fetch, Ack -----> |  rate limited for each peer, refused by name
//
// The relay nodes of a group are connected to each other, by a session of their own kind (package peers): they share the
// topic, tell each other who is where, forward mail to where its recipient is and copy what one of them missed. A relay node
// believes another one as far as availability goes and no further.
//
// What it guarantees: mail and batches are durable before they are acknowledged; nobody outside the roster subscribes,
// publishes, reserves, connects, deposits or fetches; an identity is always the one that the secure channel proved,
// never a field of a message; every queue is bounded and every drop is counted under a name; a consumer that is too slow
// loses its session, not everybody's memory.
//
// What it does not: it cannot read a share, a key or a message, because nothing here holds or links what would. A
// hostile relay node can delay and drop, so nothing about safety may rest on what it says: presence, counts and order
// are hints.
//
// Who may come in is decided by package door. Inside, one goroutine owns each thing: a session is its stream's handler, which
// is package serve's loop, with another that tells news while there is some (package news); the topic's batches are stored by
// one appender (batches.run), old ones and old mail deleted by one sweeper; rosters and sessions each have one table with a
// lock. Handlers return a verdict and one place, the loop, replies and has it logged and counted.
//
// It may be imported by cmd/relay, by the relay node's pages and by tests. It never imports node/... or pki/authority,
// not even through others: a relay that cannot read must not link the reader.
package relaynode
