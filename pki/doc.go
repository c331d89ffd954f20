// Package pki says who is who in a group: the certificate profile, the roster, and their verification.
//
// A group is one certificate authority. It signs a certificate for every member and relay node, which binds a role, a
// libp2p peer ID and (for a member) an RSA key that only decrypts; and it signs rosters, the lists of who belongs now:
//
//	CA key (Ed25519) ──signs──> member certificate   role, peer ID, RSA-3072 key
//	                 ──signs──> relay certificate    name, peer ID
//	                 ──signs──> roster version n     all of the above, relay addresses, dates
//
// # Guarantees
//
// VerifyCertificate and OpenRoster return a value only if every byte of it is as overlay/SPEC.md section 2 says and the
// group's CA key signed it. They go beyond x509.Verify, which accepts much that the profile forbids: each field is
// checked by hand. Sizes are capped before anything is parsed or computed. The roster is the only source of membership:
// who is not in the newest version is not a member, whatever certificate he shows.
//
// # What it does not do
//
// It reads no files and no clock (the time is an argument), opens no sockets and holds no private key: those belong to
// pki/keystore and pki/authority. What a restart must not forget is kept by the caller: Membership holds the newest
// roster that was taken and hands it to a RosterStore first, and keystore.RosterFile is one.
//
// Everybody may import it. It imports overlay/wire for the shared words and nothing else of the module.
package pki
