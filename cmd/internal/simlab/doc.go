// Package simlab keeps a group connected through the long and the many cases: outages of a minute and of an hour, a relay
// node that comes and goes, loss, latency, partitions, a clock that is wrong by a day. It is tests only.
//
// Everything above the sockets is real: QUIC, identify, gossipsub, the circuit relay, relaynode and node. Below it are a
// simulated network (github.com/marcopolo/simnet) and, thanks to testing/synctest, a simulated time: an hour without
// network takes as long as the packets that are sent in it. Each case is run with many seeds, and what is asserted is
// what a person would ask for: everybody reads everything, once and in order; all chat again within five seconds of the
// network being there; and the state that a member shows is true within ten.
//
// What it cannot show is what a kernel does: TCP's retransmissions, routes, sockets whose address is gone. That is tested
// in network namespaces.
package simlab
