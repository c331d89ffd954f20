package overlay

import ma "github.com/multiformats/go-multiaddr"

// Outer returns the address of the relay node that a circuit address leads through, which ends in its /p2p/ part. It
// reports false for an address that is none.
func Outer(a ma.Multiaddr) (ma.Multiaddr, bool) {
	if !IsCircuit(a) {
		return nil, false
	}
	outer, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	if _, last := ma.SplitLast(outer); last == nil || last.Code() != ma.P_P2P {
		return nil, false
	}
	return outer, true
}
