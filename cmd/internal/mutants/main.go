// Command mutants shows that every marked rule is needed: it takes one away after the other and has a test fail.
//
//	go run ./cmd/internal/mutants                     all mutants, as a table
//	go run ./cmd/internal/mutants -only '^backlog-'   some of them
//	go run ./cmd/internal/mutants -share 2/5          every fifth, from the second on
//
// A rule is a line of production code that ends in a comment "// defence: NAME". In testdata/mutants.txt of the same package
// stands what becomes of that line in the mutant, and which test must then fail:
//
//	name: backlog-member
//	with: never
//	kills: ./node/shelf -run '^TestAttackOutsiderAsksAMember$'
//
// "never" and "always" make the condition of an if so; "drop" takes the line out; anything else is the line's new code. The
// source is not touched: the test is built with go test -overlay. So production code holds no switch that turns a rule off,
// and in a mutant's test the attack succeeds.
//
// A mutant is killed when its test fails, SURVIVED when it passes, and BROKEN when it does not build or runs no test. The
// exit code is 1 unless all are killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, ".", os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command in the module at root.
func run(ctx context.Context, root string, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(errs)
	only := flags.String("only", "", "regular expression: the mutants whose name it matches")
	share := flags.String("share", "", "K/N: every N-th mutant, from the K-th on")
	if flags.Parse(args) != nil {
		return 2
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(errs, "mutants: error: -only:", err)
		return 2
	}
	k, n := 1, 1
	if *share != "" {
		if _, err := fmt.Sscanf(*share, "%d/%d", &k, &n); err != nil || k < 1 || n < 1 {
			fmt.Fprintln(errs, "mutants: error: -share is K/N, as in 1/5")
			return 2
		}
	}
	all, err := find(root)
	if err != nil {
		fmt.Fprintln(errs, "mutants: error:", err)
		return 1
	}
	bad, ran := 0, 0
	for i, m := range all {
		if !pattern.MatchString(m.name) || i%n != (k-1)%n {
			continue
		}
		began := time.Now()
		verdict, why := m.try(ctx, root)
		fmt.Fprintf(out, "%-28s %-9s %6.1f s  %s\n", m.name, verdict, time.Since(began).Seconds(), why)
		if ran++; verdict != killed {
			bad++
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", ran-bad, bad)
	if bad > 0 || ran == 0 {
		return 1
	}
	return 0
}
