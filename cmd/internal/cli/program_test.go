package cli

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHintsNameTheProgramAsItWasStarted: who runs a binary is not told to type go run.
func TestHintsNameTheProgramAsItWasStarted(t *testing.T) {
	t.Parallel()
	const text = "see go run ./cmd/node --help; go run ./cmd/ca import FILE joins"
	for program, want := range map[string]string{
		"node":                                  "see node --help; ca import FILE joins",
		"bin/node":                              "see bin/node --help; bin/ca import FILE joins",
		"./node":                                "see ./node --help; ./ca import FILE joins",
		"bin/conclave-node":                     "see bin/conclave-node --help; bin/conclave-ca import FILE joins",
		"/opt/nodes/node-1.2":                   "see /opt/nodes/node-1.2 --help; /opt/nodes/ca-1.2 import FILE joins",
		"bin/chat":                              "see bin/chat --help; ca import FILE joins",
		"my bin/node":                           `see "my bin/node" --help; "my bin/ca" import FILE joins`,
		"":                                      "see  --help; ca import FILE joins",
		"/tmp/go-build61393114/b001/exe/node":   text,
		"/x/.cache/go-build/36/361f3461-d/node": text,
	} {
		if got := (&Env{Name: "node", program: program}).Called(text); got != want {
			t.Errorf("%q: got %q, want %q", program, got, want)
		}
	}
}

// TestHintOfABinary: every hint passes where commands are renamed, also the one that says how usage is explained.
func TestHintOfABinary(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	env := &Env{Stdio: Stdio{Err: &errs}, Name: "node", program: "bin/node"}
	report(t.Context(), env, WithHint(Usagef("no"), "go run ./cmd/ca init"))
	report(t.Context(), env, Usagef("no"))
	env.Advise("Next: go run ./cmd/%s.\n", "relay")
	if want := "node: error: no\nhint: bin/ca init\nnode: error: no\nhint: bin/node --help\nNext: bin/relay.\n"; errs.String() != want {
		t.Errorf("got %q, want %q", errs.String(), want)
	}
}

// TestVersion: every command and every command below it says which source it was built from.
func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--version"}, {"sub", "--version"}} {
		sub := &cobra.Command{Use: "sub FILE", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return nil }}
		cmd := &cobra.Command{Use: "thing", RunE: func(*cobra.Command, []string) error { return nil }}
		cmd.AddCommand(sub)
		var out, errs bytes.Buffer
		code := Run(t.Context(), "thing", cmd, args, Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != 0 || errs.Len() != 0 || !regexp.MustCompile(`^thing \S.*, go\d\S*, \w+/\w+\n$`).MatchString(out.String()) {
			t.Errorf("%v: %d, %q, %q", args, code, out.String(), errs.String())
		}
	}
}
