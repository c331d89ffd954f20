// Package lan finds the members and the relay nodes of a group on the local network, by multicast DNS.
//
// It is section 3.1 of overlay/SPEC.md. Each node of a group asks for a service whose name only the group's own nodes
// know, the hash of the group's ID, and answers with its peer ID and its addresses on that link:
//
//	A                              224.0.0.251:5353, ff02::fb                           B
//	| PTR _<hash>._udp.local ?  ------------------------------------------------------>  |
//	|  <-------------------- PTR <instance>._<hash>._udp.local, TXT dnsaddr=/ip4/…/p2p/B |
//	| dials B; Noise, TLS or QUIC prove that it is B                                     |
//
// # What it guarantees
//
// Config.Found is called for peers that Config.Admit takes and for nobody else, with addresses on the very link that the
// announcement came over and with no others: whoever sends announcements cannot make a member dial a stranger, nor
// anything beyond the local network. What is read, kept and answered is bounded, in all and for each sender. On a link
// nothing is sent but this node's addresses there, and on a link where it has none, nothing at all.
//
// # What it does not
//
// An announcement proves nothing: anybody on the link may send one, and may keep members from finding each other. That
// a peer is who it says is proved by the connection, that it belongs to the group by the roster. Whoever listens on the
// link sees that somebody looks for this name, the peer IDs that answer, and whoever knows the group's ID knows its name.
//
// It may be imported by node, by relaynode and by their tests.
package lan
