// Package keystore keeps a group's identities, certificates and roster on disk.
//
// A home directory holds one folder for each group:
//
//	<home>/<group>/
//	  ca.pem                     the CA certificate: which group this is
//	  roster.bin                 the newest roster seen, as signed
//	  authority/ca-key.pem       the CA key, only on the authority's machine (pki/authority reads it)
//	  relay/cert.pem             a relay node's certificate
//	  relay/identity.pem         ... and its Ed25519 key
//	  members/<role>/cert.pem    a member's certificate
//	  members/<role>/identity.pem  ... its Ed25519 key
//	  members/<role>/rsa.pem       ... and its RSA key
//	<home>/.requests/<role>/     keys whose request the authority has not yet answered
//	<home>/.new/                 a group that is being made, or was when its process was killed
//
// Keys are PKCS #8 and certificates X.509, both in PEM, so that openssl reads them. Node and relay node keep their own
// state (state.db) in the member's and relay's folder.
//
// # Guarantees
//
// Folders are made with mode 0700 and files with 0600. A file is replaced whole or not at all: written beside its name,
// synced, renamed, and the folder synced. A process that is killed meanwhile leaves one file under a name that the next
// write takes over. A private key that others may read, or that lies in a folder which others may
// enter, is refused with a hint. A roster is never replaced by an older one, nor by another of the same version, also
// when two processes share the home; and of two processes that change a group with its CA key one waits for the other.
//
// # What it does not do
//
// It does not encrypt: who can read the files has the keys. It never reads the CA key.
//
// Node, relay node, authority and the commands may import it.
package keystore
