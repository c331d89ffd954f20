// Package reach knows who is here and by which way each member is reached, and looks for a shorter way.
//
//	hints of relay nodes, who is in the topic, signs of life ──► presence ──Present──► key agreement
//	                                                                │
//	connections of the host, hole punches ──► contacts ──► paths ◄──┘ ──Path──► screens
//	                                                         │
//	            courier: a circuit to punch over ◄──Hold──── attempts: probe, circuit, hole punch
//
//	announcements on the local network ──► Meet ──► dials, and addresses of relay nodes
//
// # Guarantees
//
// Presence is a hint and decides which way is tried first, never more: a relay node that lies costs a useless attempt. A
// member keeps direct connections on purpose with at most twelve others, so a large group stays a ring and no mesh. A
// direct connection that is dead is noticed, and attempts that fail come ever more rarely. Of a path that is not direct the
// reason is known.
//
// # What it does not do
//
// It carries nothing. Streams, shares and messages are the concern of other rooms.
//
// A Reach belongs to its owner's goroutine; the goroutines that it starts leave what they find out in the owner's queue. The
// package may be imported by node alone, and imports overlay, overlay/lan, overlay/wire and pki.
package reach
