package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"conclave/pki"
	"conclave/pki/keystore"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// Hint returns the advice.
func (h *hinted) Hint() string { return h.hint }

// WithHint adds what to do about an error. The outermost hint is the one shown.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// usageError is an error in how the command was called.
type usageError struct{ error }

func (u *usageError) Unwrap() error { return u.error }

// Usage marks an error as wrong usage: exit code 2.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// Usagef is Usage of a formatted error.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// report writes an error as the contract says and returns the exit code.
func report(ctx context.Context, env *Env, err error) int {
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitOK
	}
	fmt.Fprintf(env.Err, "%s: error: %s\n", env.Name, oneLine(err.Error()))
	if hint := hintFor(env.Name, err); hint != "" {
		fmt.Fprintf(env.Err, "hint: %s\n", oneLine(env.Called(hint)))
	}
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// oneLine keeps an error's text on the one line that the contract promises, and control characters off the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// hintFor returns what to do about an error, or "". Hints for errors of pki and keystore are here, so that every command
// gives the same.
func hintFor(name string, err error) string {
	if h := interface{ Hint() string }(nil); errors.As(err, &h) {
		return h.Hint()
	}
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return "go run ./cmd/" + name + " --help"
	}
	for _, known := range knownHints {
		if errors.Is(err, known.err) {
			return known.hint
		}
	}
	return ""
}

var knownHints = []struct {
	err  error
	hint string
}{
	{keystore.ErrNoGroup, "go run ./cmd/ca init makes a group on this machine; go run ./cmd/ca import FILE joins one"},
	{keystore.ErrSeveralGroups, "choose one with --group NAME"},
	{keystore.ErrGroupExists, "choose another name with --group NAME, or another home with --home DIR"},
	{keystore.ErrNoIdentity, "go run ./cmd/ca show lists the identities that are here"},
	{keystore.ErrNoRoster, "ask the group's keeper for a roster and run: go run ./cmd/ca import FILE"},
	{pki.ErrExpired, "the group's keeper renews everybody's certificates with: go run ./cmd/ca renew"},
	{pki.ErrNotYetValid, "check this machine's clock"},
	{pki.ErrRosterFromFuture, "check this machine's clock"},
	{pki.ErrRosterConflict, "tell the group's keeper: the CA key signed two rosters, or somebody else has it"},
}
