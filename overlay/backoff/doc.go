// Package backoff says how long to wait before something is tried again.
//
//	failures so far ── Wait ──► first, twice first, four times first … most ── Jitter ──► half of it up to all of it
//
// What it guarantees: a wait is never longer than the longest, whatever the number of failures, and nothing overflows. It
// is arithmetic: the same numbers give the same wait, and jitter comes from a source of random numbers that is passed in,
// so that a simulation can repeat a run. What it does not: it counts no failures and waits for nothing. Its callers keep
// the number of failures beside what failed, where it also answers other questions, and several of them have no clock.
//
// Every package may import it. It imports nothing but package time.
package backoff
