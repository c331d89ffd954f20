// Package upgrade holds homes and databases that earlier programs made, and tests that today's program goes on with them.
//
// testdata/home-DATE.tar.gz is the home of the group "frozen" with the keys of everybody, made on that date by the commit
// that frozen_test.go names beside it: A and B talked, C had not started yet, so the relay node keeps shares and batches for it.
// Then the relay node was stopped, A said one thing more, and A and B were killed, so that write-ahead logs are there.
//
// The certificates end a year later: the tests use the clock of that day, which goes on from there. The keys protect nothing.
// The package has no code outside of its tests, and nobody may import it.
package upgrade
