// Package verify keeps the codes that people compare, and what they said of them.
//
// Whoever could swap keys, the group's authority included, can be found out by comparing a code over another channel: one
// for the whole group, one for each pair of members. A Book computes the present codes from a roster, remembers which a
// person has found right, and tells when a code is not the one that was here before:
//
//	roster ──Look──► records to keep, changed codes to tell of
//	roster ──List──► every code with what is known of it
//	person ──Set───► a record to keep
//
// A change stays told until somebody has compared the new code: one that came unseen, behind another change, is not taken
// for an old acquaintance.
//
// It does no I/O: what is to be remembered is returned as a Record, which the owner stores and gives to New at the next
// start. It has no clock, no goroutine and no lock. It may be imported by node alone and imports pki and overlay/wire.
package verify
