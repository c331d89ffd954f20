// Package doctor finds out what keeps a member from talking to its group, and says it in words.
//
// Between a member and the others there are hops, and each can be broken while everything before it is well:
//
//	clock         the clock is within a minute of the relay node's
//	name          the names in the relay nodes' addresses can be resolved
//	port          something listens there
//	transport     it speaks libp2p: TCP or QUIC or a WebSocket, and a secure channel in it
//	identity      it is the relay node that the address names, one of the group's
//	certificate   this member's certificate is good, and the relay node takes it
//	roster        it is in force, and has this member in it, here and there
//	reservation   the relay node keeps a circuit slot, so that others reach this member
//	topic         the relay node takes this member into the group's topic
//	epoch         there is a key
//	peer          each member that is there can be reached
//
// Run looks at them in this order. Up to the reservation it uses a host of its own and begins no session, because a
// session would replace the one of a process of this member that runs. For the rest it runs the member itself, when no
// process does: with its state, so that shares which come meanwhile are kept, and leaving every message for the next run.
// What cannot be looked at because something before it is broken is skipped.
//
// It is for commands; it changes nothing but what a start of the member changes.
package doctor
