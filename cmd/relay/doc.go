// Command relay runs the relay node of a group.
//
//	go run ./cmd/relay                        serve the only group of the home folder on port 4001
//	go run ./cmd/relay roster FILE            hand a newer roster to the relay node of this home, running or not
//
// It prints one line `relay address: <multiaddr>/p2p/<ID>` for each of its addresses once it serves, reachable ones
// first, and then runs until SIGINT or SIGTERM. Settings come from flags, CONCLAVE_<FLAG> variables, a TOML file
// (--config) and built-in defaults, in this order.
//
// With --ui 127.0.0.1:0 it serves its window, a web page for this machine only, and prints on stderr one line
// `window: <address>`, which opens the window once.
//
// It contains no authority and nothing that opens frames or shares: it imports relaynode, and relaynode cannot read.
package main
