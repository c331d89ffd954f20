// Package door decides who may come in to a relay node, and how much each may ask for.
//
//	connection ──► admission: 10 s to be in the roster and to have a session ──► closed, with a reason that is counted
//	circuit    ──► ACL: peers of the roster, at both ends
//	request    ──► rates: so many requests and bytes a second for each peer, over all its sessions
//	roster     ──► RosterChanged: who left it is disconnected; who is new in it is too, once
//	session    ──► Older, Retire: connections that a newer one replaces; WatchQuiet: members that fell silent
//
// # Guarantees
//
// A connection without roster entry or session does not outlive its time; it is connections that are watched, not peers, so
// each new one has a time of its own. Nobody outside the roster reserves a slot or opens a circuit, and a relay node opens none
// to a member. Who left the roster is disconnected with its circuits. To reconnect does not refill a peer's rates. Everything
// that is refused or closed is counted under one of the names in door.go.
//
// # What it does not do
//
// It does not know what a session is: whether a peer has one it is told (Config.HasSession). It reads no message and no
// certificate; that the peer of a connection is who it says is proved by the secure channel. The group's topic has an admission
// of its own, in package overlay.
//
// A Door is safe for several goroutines. The package may be imported by relaynode alone, and imports pki.
package door
