package keyagreement

// rule is one rule of SPEC.md section 6 that a test can switch off to see that it is needed.
type rule int

const (
	ruleInstance      rule = iota // a share is drawn only for the present instance
	rulePersist                   // a contribution is on disk before it is announced
	ruleResend                    // a contribution on disk is sent again, unchanged
	ruleAhead                     // a number far ahead of the clock is refused
	ruleNumberKnown               // a number is above the highest known
	ruleNumberClock               // a number is not below the clock
	ruleAlone                     // nobody chooses a key alone
	ruleWantOpens                 // only a request that wants an epoch opens one
	ruleAtOnce                    // the whole roster asked: open at once
	ruleQuiet                     // else wait for newcomers
	ruleQuietMax                  // but not for ever
	ruleTurn                      // the k-th role waits longer
	ruleAnswer                    // whoever is present joins another's request
	ruleLeftOut                   // a silent contributor is left out of the next opening
	ruleDouble                    // its time doubles at each failure
	ruleTrust                     // an opener whose epochs fail does not hold the others up
	ruleAskAnew                   // until it asks anew
	rulePerOpener                 // one opening of an opener is answered in 10 s
	rulePerGroup                  // one opening is answered in 2 s
	ruleFirstKey                  // except at the first key
	ruleNewerRoster               // what is under a newer roster waits and asks for it
	ruleOlderRoster               // what is under an older roster is not answered
	ruleOfferRoster               // but gets the newer one
	ruleExpired                   // an expired roster starts no epoch
	ruleAnnounceFirst             // announcements go out before wrapping begins
	ruleEverybody                 // every member of the roster gets a share, present or not
	ruleCommitment                // a share must match its commitment
	ruleAllShares                 // all of S have announced and their shares are here
	ruleSignedControl             // a signature must verify
	ruleMAC                       // a confirmation's MAC must verify
	ruleEvidence                  // two announcements exclude their signer from S
	ruleSpread                    // a contradiction makes both sides show their announcements
	ruleSplit                     // a session of an epoch with two announcements is not sent under
	ruleHighest                   // the highest number is used
	ruleLarger                    // then the larger S
	ruleSmaller                   // then the smaller ID
	ruleAllConfirmed              // used as soon as all of S confirmed
	ruleUseAfter                  // or 2 s after completion
	ruleHold                      // nothing is sent under an epoch that a removed member could read
	ruleRollback                  // a restored disk's sessions are not sent under
	ruleRecords                   // sessions survive a restart
	ruleRekey                     // a rekey opens a new epoch
	ruleContribute                // a member whose share is not in the newest key under this roster asks
	ruleDepositAgain              // an unconfirmed share is offered again
	ruleNewDatabase               // a new database gets everything again
	ruleRewrap                    // any holder wraps again for a member that lacks a share
	ruleLack                      // a member that lacks shares says so
	ruleUnseen                    // and one that lacks the opening
	ruleOutrun                    // and asks anew when nobody can help it
	ruleHeartbeat                 // every member shows now and then which session is its newest
	ruleTellNewer                 // whoever is behind is told the newest opening
	ruleErase                     // shares are erased when all have confirmed
	ruleRetention                 // and when their time has ended
	ruleWindow                    // only a bounded number of sessions stays
	ruleAge                       // an old session is replaced
	numRules
)

// hooks are a test's: rules switched off and how often each bit. Nil outside tests.
type hooks struct {
	off  [numRules]bool
	hits [numRules]int
}

// bites says that rule r applies here and now; it is false when a test has switched the rule off.
func (m *Machine) bites(r rule) bool {
	h := m.cfg.hooks
	if h == nil {
		return true
	}
	h.hits[r]++
	return !h.off[r]
}
