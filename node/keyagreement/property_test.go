package keyagreement

import (
	"flag"
	"fmt"
	"testing"
)

var simSeed = flag.Uint64("sim.seed", 0, "run this schedule only")

func TestOneSeed(t *testing.T) {
	if *simSeed == 0 {
		t.Skip("no -sim.seed")
	}
	tracing = true
	w := chaos(*simSeed, &hooks{})
	fmt.Println(w.faults)
	for _, n := range w.nodes {
		fmt.Println("==", n.role, "alive", n.m != nil, "gone", n.gone, "cheat", n.cheat, "linked", n.linked, "skew", n.skew, "roster", n.roster.Version, "of", w.roster.Version, inRoster(w.roster, n.role), "wiped", n.wiped, "using", n.using.String()[:6])
		if n.m != nil {
			for _, e := range n.m.sorted() {
				fmt.Printf("   %v #%d by %s S=%d own=%v stale=%v failed=%v split=%v created=%v lack=%d", e.id.String()[:6], e.opening.Number, e.opening.Opener, len(e.parts), e.own, e.stale, e.failed, e.split, e.created.Sub(simEpochStart), e.lack.n)
				for i := range e.parts {
					fmt.Print(" ", e.opening.Contributors[i].Role, e.parts[i].raw != nil, e.parts[i].have)
				}
				if e.session != nil {
					fmt.Print(" T=", e.session.transcript.String()[:6], " done ", e.session.completed.Sub(simEpochStart), e.session.confirmed, " nosend ", e.session.noSend, " eligible ", n.m.eligible(e))
				}
				fmt.Println()
			}
			fmt.Println("   wants", n.m.wants(), "requests", n.m.requests, "strikes", n.m.strikes, "evidence", len(n.m.evidence))
		}
	}
	for _, e := range w.errs {
		t.Error(e)
	}
}

func TestDraft(t *testing.T) {
	bad := 0
	for seed := uint64(1); seed <= 3000; seed++ {
		w := chaos(seed, &hooks{})
		if len(w.errs) > 0 {
			bad++
			if bad < 25 {
				t.Log(w.errs[0])
			}
		}
	}
	t.Logf("%d bad", bad)
}
