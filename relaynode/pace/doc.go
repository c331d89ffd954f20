// Package pace has things done after they are asked for, together and not too often.
//
//	many: Ring ──► Bell ──► one: Every (at once, then at most once in a while)
//	                             Calm  (in the next pause)
//	many: Add  ──► Peers ─► one: Take  (the peers to look at, each once)
//
// # Guarantees
//
// Ring and Add never block, and nothing that was asked for is forgotten: a ring while the one is at work has it done once more.
// What is remembered does not grow with how often it is asked for: a Bell remembers one ring, and Peers each peer once.
//
// # What it does not do
//
// It starts no goroutine and does nothing itself. Only relaynode and its rooms may import it, and it imports no other package of
// ours.
package pace
