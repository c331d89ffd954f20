package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"conclave/pki/keystore"
)

// Main runs a command with the process's arguments, streams and signals, and exits with its code. Call it first thing in
// main: it takes over go-libp2p's logging, which works only before the library's first line.
func Main(name string, cmd *cobra.Command) {
	postponeCollection()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal kills
	}()
	library := new(slog.LevelVar) // of go-libp2p's own log: errors only, unless --log-level is debug
	library.Set(slog.LevelError)
	diverted := new(diversion)
	gologshim.SetDefaultHandler(diverted.divertible(console(os.Stderr, library), os.Stderr))
	os.Exit(run(ctx, name, cmd, os.Args[1:], OS(), library, diverted))
}

// Run runs a command with the given arguments and streams and returns its exit code.
func Run(ctx context.Context, name string, cmd *cobra.Command, args []string, stdio Stdio) int {
	return run(ctx, name, cmd, args, stdio, new(slog.LevelVar), new(diversion))
}

func run(ctx context.Context, name string, cmd *cobra.Command, args []string, stdio Stdio, library *slog.LevelVar, diverted *diversion) int {
	env := &Env{Stdio: stdio, Name: name, diverted: diverted}
	home := cmd.PersistentFlags().String("home", "", "folder with the groups (default $CONCLAVE_HOME, else the platform's data folder)")
	group := cmd.PersistentFlags().String("group", "", "which group of the home (default: the only one)")
	level := cmd.PersistentFlags().String("log-level", "info", "debug, info, warn or error")

	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(stdio.In)
	cmd.SetOut(stdio.Out)
	cmd.SetErr(stdio.Err)
	cmd.SetArgs(args)
	if cmd.RunE == nil && cmd.Run == nil {
		cmd.RunE = func(*cobra.Command, []string) error { return Usagef("no command given") }
	}
	started := false // RunE was reached: until then every error is one of usage
	eachCommand(cmd, func(c *cobra.Command) {
		if run := c.RunE; run != nil {
			c.RunE = func(c *cobra.Command, args []string) error { started = true; return run(c, args) }
		}
	})
	cmd.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := fromEnvironment(c); err != nil {
			return err
		}
		lvl, err := parseLevel(*level)
		if err != nil {
			return err
		}
		if lvl == slog.LevelDebug {
			library.Set(lvl)
			lvl = libraries
		}
		env.Log = slog.New(diverted.divertible(console(stdio.Err, lvl), stdio.Err))
		env.Home, env.Group = *home, *group
		if env.Home == "" {
			env.Home = keystore.DefaultHome()
		}
		return nil
	}
	err := cmd.ExecuteContext(context.WithValue(ctx, envKey{}, env))
	if err != nil && !started {
		err = Usage(err)
	}
	return report(ctx, stdio.Err, name, err)
}

func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, f)
	}
}

// fromEnvironment sets every flag that was not given from CONCLAVE_<FLAG>, where that is not empty.
func fromEnvironment(c *cobra.Command) (err error) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "version" || err != nil {
			return
		}
		name := EnvName(f.Name)
		value := os.Getenv(name)
		if value == "" {
			return
		}
		for _, v := range values(f, value) {
			if setErr := c.Flags().Set(f.Name, v); setErr != nil {
				err = fmt.Errorf("%s: %w", name, setErr)
			}
		}
	})
	return err
}

// EnvName returns the environment variable of a flag.
func EnvName(flag string) string {
	return "CONCLAVE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// values splits the environment's value of a repeatable flag.
func values(f *pflag.Flag, value string) []string {
	if _, repeatable := f.Value.(pflag.SliceValue); !repeatable {
		return []string{value}
	}
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
}

// libraries is the level of what libraries say: package overlay gives it to their lines, so that a log at debug level
// can be had without them. Who asks the console for debug gets them too.
const libraries = slog.LevelDebug - 4

func parseLevel(s string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("--log-level %q: want debug, info, warn or error", s)
	}
	return level, nil
}

// console returns a log handler: coloured on a terminal, key=value lines elsewhere.
func console(w io.Writer, level slog.Leveler) slog.Handler {
	if f, ok := w.(*os.File); ok && IsTerminal(f) && os.Getenv("NO_COLOR") == "" {
		return tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05.000"})
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
}

// IsTerminal reports whether the file is a terminal.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
