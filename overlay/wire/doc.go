// Package wire is every message and frame header of Conclave: bytes to values and back, with a size cap on each.
//
// It is the codec and nothing more. It holds no keys, opens no sockets and reads no clock; it says whether bytes have
// the shape that overlay/SPEC.md gives them, never whether they are true. Whoever decodes a message still has to check
// its signature and its sender. The typed words that all packages share (GroupID, Role, EpochID and the like) live here
// too, because this package is the leaf that everybody may import.
//
// It may be imported by every package of the module and imports none of them.
package wire
