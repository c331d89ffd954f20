// Package authority is a group's certificate authority: it decides who is a member.
//
// It creates a group, issues certificates for members and relay nodes from their public keys, and signs rosters. It is
// the only code that touches the CA's private key, and it never sees another party's: a member makes its keys itself and
// sends a request (pki.NewRequest).
//
// Everything that it signs it first verifies with package pki, as those who receive it will: a mistake here shows at
// once, and not as a group that nobody can open.
//
// It does not decide which roster version comes next: Draft.Sign takes it from the roster before. There is one authority
// in one place for each group; two that sign side by side would make two rosters of one version, which everybody refuses.
//
// Only commands and tests may import it. Neither node nor relay node links it.
package authority
