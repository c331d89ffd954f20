// Package overlay is how nodes reach each other: libp2p hosts, streams, circuits and the group's topic.
//
// It holds everything that is said once about libp2p, because the library's defaults lose messages in a star of more
// than twelve, hang on limited circuits and let outsiders read: a host put together by hand with limits sized by the roster (NewHost), one way to dial
// (Connect), one way to open a stream (OpenStream), one prologue for every handler (HandleStream), one way to be
// reachable through a relay node (Reserve, CircuitAddr), and one topic (JoinTopic).
//
//	member A                         relay node                        member B
//	   |-- Connect, session handshake --->|<--- Connect, session handshake --|
//	   |-- Reserve ---------------------->|<--------------------- Reserve ---|
//	   |== topic (JoinTopic) =============|============= topic (JoinTopic) ==|
//	   |-- OpenStream(ShareProtocol) -----|--> circuit -----> HandleStream --|
//
// What it guarantees: a remote peer ID is proven by Noise or TLS; only peers that the Admit function of a topic
// accepts send or receive anything on it; topic traffic never runs over a circuit between members; every message that
// a queue has no room for is counted under a name. What it does not: it knows no certificates and no rosters (the
// callers turn those into functions), and it promises no delivery: the backlog does.
//
// node and relaynode import it. It imports overlay/wire and neither pki nor anything above.
package overlay
