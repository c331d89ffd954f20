// Package session is both sides of /conclave/session/1.0.0: the handshake by which a member and a relay node prove who
// they are, and the connection that carries their messages afterwards. SPEC.md section 4 is its normative text.
//
// The stream runs inside Noise or TLS, so each side knows the other's peer ID for certain before the first byte. The
// handshake adds the certificate (which role, which kind), freshness (a nonce of each side, answered by the other) and
// the clocks:
//
//	member                                            relay node
//	  |-- Hello{cert_m, n_m, t_m, sig_m, [roster]} ----->|  offer the roster, admit, verify, remember n_m
//	  |<----- HelloReply{cert_r, n_r, t_r, db, sig_r} ---|  sig_r covers n_m and n_r
//	  |-- Finish{sig_m'} ------------------------------->|  sig_m' covers n_m and n_r
//	  |<========= Deposit, Delivery, Store, ... ========>|
//
// What it guarantees: the remote is the peer of the connection, holds a certificate exactly in the profile, stands in
// the roster with that role, made its signatures for this group, this direction and this pair of peers, within 60 s of
// our clock, with a nonce not seen before, and answered ours. What it does not: it keeps nothing on disk, it does not
// reconnect, and it says nothing useful to a peer that is not in the roster.
//
// relaynode and node import it. It imports overlay/wire and pki.
package session
