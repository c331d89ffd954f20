// Package topic is the group's topic: the gossipsub topic on which members and relay nodes publish batches.
//
// The library's defaults lose messages in a star of more than twelve, and let whoever connects read and publish. This
// package has the settings and the guard with which they do neither:
//
//	RPC of a peer --> stream gate --> inspector --> subscription filter --> library --> Config.Deliver
//	                  roster,         roster,       roster,                             or Receive
//	                  no circuit      sizes, rate,  one topic
//	                                  Config.Validate
//
// The door is Join, which takes a host and a Config and returns a Handle: Publish and PublishNow hand a batch to the topic,
// Receive or Config.Deliver takes those of others, Ready, Meshed, Peers and Follow tell who is in the topic, Drops what was
// lost here. Name is the topic's name, which batches are signed for.
//
// What it guarantees: only peers that Config.Admit accepts send or receive anything on the topic; nothing of it runs over a
// circuit between members; a message's ID is a hash of all its data, so a forged copy takes nobody's place; a message that
// Config.Validate refused goes nowhere; a member's topic stream outlives the connection under it while there is another
// one; every message that a queue has no room for is counted under a name. What it does not: it knows no certificates and
// no rosters (the callers turn those into functions), it does not look into batches, and it promises no delivery: the
// backlog does.
//
// node and relaynode import it. It imports overlay and overlay/wire; overlay does not import it.
package topic
