package cli

import (
	"context"
	"io"
	"log/slog"
	"os"

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
