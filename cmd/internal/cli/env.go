package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"conclave/pki/keystore"
)

// Stdio are a command's standard streams.
type Stdio struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// OS returns the process's own streams.
func OS() Stdio { return Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }

// Env is a command's surroundings. Static while the command runs.
type Env struct {
	Stdio
	Name  string       // the command's name, as in its errors
	Home  string       // --home
	Group string       // --group; empty: the home's only group
	Log   *slog.Logger // to Err, at --log-level

	program  string // how the process was called
	diverted *diversion
	hangup   *hangup
}

type envKey struct{}

// From returns the surroundings that Run put into the command's context.
func From(ctx context.Context) *Env { return ctx.Value(envKey{}).(*Env) }

// Dir returns the folder of the chosen group. Its errors carry hints.
func (e *Env) Dir() (keystore.Dir, error) {
	return keystore.FindGroup(e.Home, e.Group)
}

// Called returns a text in which each `go run ./cmd/NAME` is what the person has to type for it: the same, where this
// process was started so, else the binary NAME beside the one that was started, and in the way in which that was named.
func (e *Env) Called(text string) string {
	return inSource.ReplaceAllStringFunc(text, func(call string) string {
		return called(e.program, e.Name, strings.TrimPrefix(call, sourcePrefix))
	})
}

// Advise tells the person on stderr what to do next. Commands in the text are named as Called does it.
func (e *Env) Advise(format string, args ...any) {
	fmt.Fprint(e.Err, e.Called(fmt.Sprintf(format, args...)))
}
