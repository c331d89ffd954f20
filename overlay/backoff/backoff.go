package backoff

import "time"

// Wait returns the wait after so many earlier failures: first, doubled with each of them, at most most.
func Wait(first, most time.Duration, failures int) time.Duration {
	n := max(failures, 0)
	if first > most>>n { // not first<<n > most, which overflows
		return most
	}
	return first << n
}

// Jitter returns a duration between half of d and d, so that many who wait for the same thing do not come at once. random
// returns a number that is at least 0 and below its argument, as rand.N does.
func Jitter(d time.Duration, random func(time.Duration) time.Duration) time.Duration {
	return d/2 + random(d/2+1)
}
