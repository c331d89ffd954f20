// Package limits is the numbers of the key agreement: those of SPEC.md section 6, and this implementation's own.
//
// It may be imported by the key agreement and its tests.
package limits

import "time"

// Limits are the numbers of SPEC.md section 6. Those marked local are this implementation's: another may differ.
type Limits struct {
	Ahead       time.Duration // an opening's number may be ahead of the clock by this much
	Quiet       time.Duration // an opener waits until nobody joined for this long
	QuietMax    time.Duration // and at most this long
	Turn        time.Duration // the k-th role waits k times this more
	Silent      time.Duration // a contributor without progress for Silent + SilentEach x |S| is left out
	SilentEach  time.Duration
	SilentMax   time.Duration // local: the doubling stops here
	PerOpener   time.Duration // one opening of an opener is answered in this time
	PerGroup    time.Duration // one opening at all is answered in this time, except at the first key
	UseAfter    time.Duration // a session is used this long after its completion though confirmations lack
	Retention   time.Duration // shares are offered, and sessions stay readable, for this long
	MaxAge      time.Duration // a session older than this is replaced
	AskAgain    time.Duration // local: first repeat of an unanswered request; doubles
	AskMax      time.Duration // local: the doubling of repeats stops here
	Repair      time.Duration // a member lacking shares says so after this long; doubles
	Offer       time.Duration // local: an undelivered share is offered again after this long; doubles
	OfferMax    time.Duration // local
	MaxSessions int           // completed sessions kept
	MaxEpochs   int           // local: incomplete epochs kept for each opener
	MaxWaiting  int           // local: messages kept until a roster or an opening comes
}

// Default returns the numbers of the specification.
func Default() Limits {
	return Limits{
		Ahead: 2 * time.Minute, Quiet: 300 * time.Millisecond, QuietMax: 2 * time.Second, Turn: 300 * time.Millisecond,
		Silent: 5 * time.Second, SilentEach: 200 * time.Millisecond, SilentMax: time.Minute,
		PerOpener: 10 * time.Second, PerGroup: 2 * time.Second, UseAfter: 2 * time.Second,
		Retention: 14 * 24 * time.Hour, MaxAge: 7 * 24 * time.Hour,
		AskAgain: 2 * time.Second, AskMax: time.Minute, Repair: 2 * time.Second, Offer: 10 * time.Second, OfferMax: 10 * time.Minute,
		MaxSessions: 64, MaxEpochs: 8, MaxWaiting: 256,
	}
}

// Implementation constants; all are arbitrary within a factor of a few.
const (
	RequestAge     = time.Minute            // an older request counts only if its sender is known to be here
	WantLife       = 90 * time.Second       // a want that nobody repeats is forgotten
	AnswerLife     = 20 * time.Second       // so is an answer
	AnswerAgain    = 500 * time.Millisecond // between two requests of ours, but for those that a timer sends
	ConfirmAgain   = 2 * time.Second
	ConfirmMax     = 32 * time.Second
	ConfirmTimes   = 6
	HeartbeatMin   = time.Minute
	HeartbeatEach  = 2 * time.Second
	DeliveredAgain = 30 * time.Second // a share that was taken is offered again if no confirmation comes
	FailedAgain    = 3 * time.Second  // a share that was not taken
	LackAgain      = time.Second      // between two answers to one member about one epoch
	LackMax        = time.Minute
	LackTimes      = 10
	TellAgain      = 2 * time.Second
	OfferAgain     = 5 * time.Second
	NeedAgain      = 2 * time.Second
	NeedMax        = time.Minute
	BehindAgain    = 10 * time.Second
	EvidenceAgain  = 5 * time.Second
	MaxInstances   = 32
)
