// Package overlay is how nodes reach each other: libp2p hosts, streams and circuits.
//
// It holds everything that is said once about libp2p, because the library's defaults refuse a
// group behind one address and hang on limited circuits: a host put together by hand with limits sized by the roster
// (NewHost), one way to dial (Connect), one way to open a stream (OpenStream), one prologue for every handler
// (HandleStream), and one way to be reachable through a relay node (Reserve, CircuitAddr).
//
//	member A                         relay node                        member B
//	   |-- Connect, session handshake --->|<--- Connect, session handshake --|
//	   |-- Reserve ---------------------->|<--------------------- Reserve ---|
//	   |== overlay/topic =================|================= overlay/topic ==|
//	   |-- OpenStream(ShareProtocol) -----|--> circuit -----> HandleStream --|
//
// What it guarantees: a remote peer ID is proven by Noise or TLS; a stream handler never runs without its reservation of
// memory and its deadline. What it does not: it knows no certificates and no rosters (the callers turn those into
// functions), and nothing of what runs over its streams.
//
// node, relaynode and the packages below this one import it. It imports nothing of them.
package overlay
