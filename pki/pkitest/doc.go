// Package pkitest makes throw-away groups for tests, fast.
//
//	g := pkitest.NewGroup(t, "A", "B", "C")   // a group, its roster, one relay node
//	b := g.Member("B")                        // keys and certificate, as keystore would read them
//	r := g.Reissue(func(d *authority.Draft) { d.RemoveMember("C") })
//	home := g.Home()                          // the same on disk, for tests of commands
//
// Making RSA keys is slow, so the members of a group share out sixteen keys from testdata; a test with more members (see
// Fast) has members with equal RSA keys, which no rule forbids. By default everything is valid from 1999-12-31 for a
// hundred years, so that it is valid both now and inside a testing/synctest bubble, whose clock begins in 2000. Identities
// are random: two groups never share one.
//
// The keys in testdata are public and protect nothing. Only tests may import this package.
package pkitest
