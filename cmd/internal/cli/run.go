package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
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
	hangup := newHangup(stop)
	library := new(slog.LevelVar) // of go-libp2p's own log: errors only, unless --log-level is debug
	library.Set(slog.LevelError)
	diverted := new(diversion)
	gologshim.SetDefaultHandler(diverted.divertible(console(os.Stderr, library), os.Stderr))
	os.Exit(run(ctx, &Env{Stdio: OS(), Name: name, program: asStarted(), diverted: diverted, hangup: hangup}, cmd, os.Args[1:], library))
}

// Run runs a command with the given arguments and streams and returns its exit code.
func Run(ctx context.Context, name string, cmd *cobra.Command, args []string, stdio Stdio) int {
	return run(ctx, &Env{Stdio: stdio, Name: name, program: asStarted(), diverted: new(diversion), hangup: new(hangup)}, cmd, args, new(slog.LevelVar))
}

func run(ctx context.Context, env *Env, cmd *cobra.Command, args []string, library *slog.LevelVar) int {
	home := cmd.PersistentFlags().String("home", "", "folder with the groups (default $CONCLAVE_HOME, else the platform's data folder)")
	group := cmd.PersistentFlags().String("group", "", "which group of the home (default: the only one)")
	level := cmd.PersistentFlags().String("log-level", "info", "debug, info, warn or error")

	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(env.In)
	cmd.SetOut(env.Out)
	cmd.SetErr(env.Err)
	cmd.SetArgs(args)
	if cmd.RunE == nil && cmd.Run == nil {
		cmd.RunE = func(*cobra.Command, []string) error { return Usagef("no command given") }
	}
	started := false // RunE was reached: until then every error is one of usage
	eachCommand(cmd, func(c *cobra.Command) {
		c.Version = version()
		c.SetVersionTemplate("{{.Root.Name}} {{.Version}}\n")
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
		env.Log = slog.New(env.diverted.divertible(console(env.Err, lvl), env.Err))
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
	return report(ctx, env, err)
}

func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, f)
	}
}

// fromEnvironment sets every flag that was not given from CONCLAVE_<FLAG>, where that is not empty and can mean this flag.
// Several commands have flags of one name: what is set for one of them must not break another.
func fromEnvironment(c *cobra.Command) (err error) {
	given := func(name string) bool { f := c.Flags().Lookup(name); return f != nil && f.Changed }
	var unset []*pflag.Flag
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Changed && f.Name != "help" && f.Name != "version" && !slices.ContainsFunc(f.Annotations[unless], given) {
			unset = append(unset, f)
		}
	})
	for _, f := range unset {
		name := envName(f.Name)
		value := os.Getenv(name)
		if value == "" || foreign(f, value) {
			continue
		}
		for _, v := range values(f, value) {
			if err := c.Flags().Set(f.Name, v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// unless names a flag's annotation: the flags that, when given, keep it from being read from the environment.
const unless = "conclave-unless"

// EnvUnless has a flag not read from the environment when one of the others is given on the command line.
func EnvUnless(flags *pflag.FlagSet, name string, others ...string) {
	if err := flags.SetAnnotation(name, unless, others); err != nil {
		panic(err) // there is no such flag
	}
}

// EnvMeans has values of the environment passed over that the flag cannot mean: they are meant for another command.
func EnvMeans(flags *pflag.FlagSet, name string, means func(value string) bool) {
	f := flags.Lookup(name)
	f.Value = &selective{f.Value, means}
}

// selective is a flag's value that knows which values of the environment are meant for it.
type selective struct {
	pflag.Value
	means func(string) bool
}

// foreign reports whether a value of the environment is meant for another command's flag of that name.
func foreign(f *pflag.Flag, value string) bool {
	if s, ok := f.Value.(*selective); ok {
		return !s.means(value)
	}
	if f.Value.Type() == "bool" {
		_, err := strconv.ParseBool(value)
		return err != nil
	}
	return false
}

// envName returns the environment variable of a flag.
func envName(flag string) string {
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

// console returns a log handler: coloured on a terminal, key=value lines elsewhere. Nothing that it is given is obeyed by a
// terminal.
func console(w io.Writer, level slog.Leveler) slog.Handler {
	if f, ok := w.(*os.File); ok && IsTerminal(f) && os.Getenv("NO_COLOR") == "" {
		return inertHandler{tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05.000"})}
	}
	return inertHandler{slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})}
}

// IsTerminal reports whether the file is a terminal.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
