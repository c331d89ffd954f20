// Command mutants shows that every marked rule is needed: it takes one away after the other and has a test fail.
//
//	go run ./cmd/internal/mutants                     all mutants, as a table
//	go run ./cmd/internal/mutants -only '^backlog-'   some of them
//	go run ./cmd/internal/mutants -share 2/5          every fifth, from the second on
//	go run ./cmd/internal/mutants -j 4                four at a time; as many as there are processors if not given
//	go run ./cmd/internal/mutants -list               their names and files, and nothing is run
//
// A rule is a line of production code that ends in a comment "// defence: NAME". In testdata/mutants.txt of the same package
// stands what becomes of that line in the mutant, and which test must then fail:
//
//	name: backlog-member
//	with: never
//	kills: ./node/shelf -run '^TestAttackOutsiderAsksAMember$'
//
// "never" and "always" make the condition of an if so; "drop" takes the line out; anything else is the line's new code. A rule
// that several lines of a package hold up is marked at each of them, and taken away at all; then there is one "with" for
// all lines, or one for each, in the order of their files. The
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
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
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
	jobs := flags.Int("j", runtime.NumCPU(), "how many are tried at a time")
	list := flags.Bool("list", false, "list the mutants and try none")
	if flags.Parse(args) != nil {
		return 2
	}
	if *jobs < 1 {
		fmt.Fprintln(errs, "mutants: error: -j is at least 1")
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
	var some []mutant
	for i, m := range all {
		if pattern.MatchString(m.name) && i%n == (k-1)%n {
			some = append(some, m)
		}
	}
	if *list {
		for _, m := range some {
			fmt.Fprintf(out, "%-28s %s:%d\n", m.name, m.places[0].file, m.places[0].line+1)
		}
		return 0
	}
	bad := tryAll(ctx, root, some, *jobs, out)
	fmt.Fprintf(out, "%d passed, %d failed\n", len(some)-bad, bad)
	if bad > 0 || len(some) == 0 {
		return 1
	}
	return 0
}

// result is what became of a mutant.
type result struct {
	verdict verdict
	why     string
	took    time.Duration
}

// tryAll tries mutants, some at a time, and prints what became of them in their order. It returns how many live.
func tryAll(ctx context.Context, root string, list []mutant, jobs int, out io.Writer) (bad int) {
	results := make([]chan result, len(list))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	var group errgroup.Group
	group.SetLimit(jobs)
	go func() {
		for i, m := range list {
			group.Go(func() error {
				began := time.Now()
				v, why := m.try(ctx, root)
				results[i] <- result{v, why, time.Since(began)}
				return nil
			})
		}
	}()
	for i, m := range list {
		r := <-results[i]
		fmt.Fprintf(out, "%-28s %-9s %6.1f s  %s\n", m.name, r.verdict, r.took.Seconds(), r.why)
		if r.verdict != killed {
			bad++
		}
	}
	return bad
}
