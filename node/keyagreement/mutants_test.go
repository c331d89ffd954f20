package keyagreement

import (
	"fmt"
	"strings"
	"testing"

	"conclave/overlay/longtest"
)

// mutantSchedules is how many schedules a mutant may survive.
const mutantSchedules = 3000

// TestMutants switches off one rule after the other: without it some schedule must fail.
func TestMutants(t *testing.T) {
	if raceEnabled || testing.Short() || !longtest.Wanted() {
		t.Skip("the schedules of TestProperty are enough here; the long form tries each without a rule")
	}
	results := make([]string, numRules)
	t.Run("all", func(t *testing.T) {
		for r := range numRules {
			t.Run(ruleNames[r], func(t *testing.T) {
				t.Parallel()
				for seed := uint64(1); seed <= mutantSchedules; seed++ {
					h := &hooks{}
					h.off[r] = true
					if failure := runMutant(seed, h); failure != "" {
						results[r] = fmt.Sprintf("%-15s killed after %4d: %s", ruleNames[r], seed, failure)
						return
					}
				}
				results[r] = ruleNames[r] + " SURVIVED"
				t.Errorf("the rule %s is not needed by any of %d schedules", ruleNames[r], mutantSchedules)
			})
		}
	})
	t.Log("mutants:\n" + strings.Join(results, "\n"))
}

// runMutant runs one schedule and says how it failed.
func runMutant(seed uint64, h *hooks) (failure string) {
	defer func() {
		if p := recover(); p != nil {
			failure = fmt.Sprint("panic: ", p)
		}
	}()
	if w := schedule(seed, h); len(w.errs) > 0 {
		return w.errs[0]
	}
	return ""
}
