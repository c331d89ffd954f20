package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
)

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// run runs a command "thing" that does do, with the flags --number and --item (repeatable).
func run(ctx context.Context, do func(cmd *cobra.Command, env *cli.Env) error, args ...string) result {
	cmd := &cobra.Command{Use: "thing", Args: cobra.NoArgs}
	cmd.Flags().Int("number", 1, "")
	cmd.Flags().StringArray("item", nil, "")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return do(cmd, cli.From(cmd.Context())) }
	var out, errs bytes.Buffer
	code := cli.Run(ctx, "thing", cmd, args, cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	return result{code, out.String(), errs.String()}
}

func TestErrorsAndExitCodes(t *testing.T) {
	t.Parallel()
	usageHint := "hint: go run ./cmd/thing --help\n"
	for name, c := range map[string]struct {
		err  error
		args []string
		code int
		want string
	}{
		"success":          {nil, nil, 0, ""},
		"failure":          {errors.New("no luck"), nil, 1, "thing: error: no luck\n"},
		"hint":             {cli.WithHint(errors.New("no luck"), "try again"), nil, 1, "thing: error: no luck\nhint: try again\n"},
		"wrapped hint":     {fmt.Errorf("today: %w", cli.WithHint(errors.New("no luck"), "try again")), nil, 1, "thing: error: today: no luck\nhint: try again\n"},
		"several lines":    {errors.New("one\ntwo\x1b[31m"), nil, 1, "thing: error: one two [31m\n"},
		"usage":            {cli.Usagef("want more"), nil, 2, "thing: error: want more\n" + usageHint},
		"usage with hint":  {cli.Usage(cli.WithHint(errors.New("want more"), "give more")), nil, 2, "thing: error: want more\nhint: give more\n"},
		"unknown flag":     {nil, []string{"--nonsense"}, 2, "thing: error: unknown flag: --nonsense\n" + usageHint},
		"bad value":        {nil, []string{"--number", "x"}, 2, "thing: error: invalid argument \"x\" for \"--number\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\n" + usageHint},
		"too many":         {nil, []string{"x"}, 2, "thing: error: unknown command \"x\" for \"thing\"\n" + usageHint},
		"bad level":        {nil, []string{"--log-level", "loud"}, 2, "thing: error: --log-level \"loud\": want debug, info, warn or error\n" + usageHint},
		"known error":      {fmt.Errorf("opening: %w", keystore.ErrSeveralGroups), nil, 1, "thing: error: opening: several groups, and none was chosen\nhint: choose one with --group NAME\n"},
		"own hint is last": {cli.WithHint(keystore.ErrNoGroup, "do that"), nil, 1, "thing: error: no such group\nhint: do that\n"},
		"cancelled alone":  {context.Canceled, nil, 1, "thing: error: context canceled\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t.Context(), func(*cobra.Command, *cli.Env) error { return c.err }, c.args...)
			if got.code != c.code || got.err != c.want || got.out != "" {
				t.Errorf("got %d, %q, %q; want %d, %q", got.code, got.err, got.out, c.code, c.want)
			}
		})
	}
}

// TestNilErrors: wrapping nothing stays nothing.
func TestNilErrors(t *testing.T) {
	t.Parallel()
	if cli.WithHint(nil, "x") != nil || cli.Usage(nil) != nil {
		t.Error("nil became an error")
	}
}

func TestSignalEndsCleanly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	got := run(ctx, func(cmd *cobra.Command, _ *cli.Env) error {
		cancel()
		<-cmd.Context().Done()
		return fmt.Errorf("waiting: %w", cmd.Context().Err())
	})
	if got.code != 0 || got.err != "" {
		t.Errorf("got %d, %q", got.code, got.err)
	}
	got = run(ctx, func(*cobra.Command, *cli.Env) error { return errors.New("a true failure while ending") })
	if got.code != 1 {
		t.Errorf("a failure after the signal: got %d, %q", got.code, got.err)
	}
}

func TestOpenModeHint(t *testing.T) {
	t.Parallel()
	home := pkitest.NewGroup(t, "A").Home()
	path := filepath.Join(home, "test", "members", "A", "rsa.pem")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	got := run(t.Context(), func(_ *cobra.Command, env *cli.Env) error {
		dir, err := env.Dir()
		if err != nil {
			return err
		}
		_, err = dir.OpenMember("A")
		return err
	}, "--home", home)
	want := "thing: error: opening member A: " + path + " is open to others (mode 0644)\nhint: chmod 0600 " + path + "\n"
	if got.err != want {
		t.Errorf("got %q, want %q", got.err, want)
	}
}

// TestEveryHintBelongsToAnError: the errors that commands meet most have hints.
func TestEveryHintBelongsToAnError(t *testing.T) {
	t.Parallel()
	for _, err := range []error{keystore.ErrNoGroup, keystore.ErrNoIdentity, keystore.ErrNoRoster, keystore.ErrGroupExists, pki.ErrExpired, pki.ErrNotYetValid, pki.ErrRosterConflict} {
		got := run(t.Context(), func(*cobra.Command, *cli.Env) error { return fmt.Errorf("doing x: %w", err) })
		if !strings.Contains(got.err, "\nhint: ") {
			t.Errorf("no hint for %v", err)
		}
	}
}

func TestLogGoesToStderr(t *testing.T) {
	t.Parallel()
	log := func(_ *cobra.Command, env *cli.Env) error {
		env.Log.Debug("quiet")
		env.Log.Info("heard", "n", 1)
		return nil
	}
	got := run(t.Context(), log)
	if got.out != "" || !strings.Contains(got.err, "msg=heard n=1") || strings.Contains(got.err, "quiet") {
		t.Errorf("got %q, %q", got.out, got.err)
	}
	if got := run(t.Context(), log, "--log-level", "debug"); !strings.Contains(got.err, "quiet") {
		t.Errorf("at debug: %q", got.err)
	}
	if got := run(t.Context(), log, "--log-level", "error"); got.err != "" {
		t.Errorf("at error: %q", got.err)
	}
}

func TestEnvironment(t *testing.T) {
	report := func(cmd *cobra.Command, env *cli.Env) error {
		number, _ := cmd.Flags().GetInt("number")
		items, _ := cmd.Flags().GetStringArray("item")
		fmt.Fprintf(env.Out, "%d %q %s %s", number, items, env.Home, env.Group)
		return nil
	}
	t.Setenv("CONCLAVE_NUMBER", "7")
	t.Setenv("CONCLAVE_ITEM", "/ip4/1.2.3.4/tcp/1, b\nc")
	t.Setenv("CONCLAVE_HOME", "/h")
	t.Setenv("CONCLAVE_GROUP", "g")
	if got, want := run(t.Context(), report), `7 ["/ip4/1.2.3.4/tcp/1" "b" "c"] /h g`; got.out != want {
		t.Errorf("from the environment: %q %q, want %q", got.out, got.err, want)
	}
	if got, want := run(t.Context(), report, "--number=2", "--item=x,y", "--home=/k", "--group="), `2 ["x,y"] /k `; got.out != want {
		t.Errorf("flags first: %q, want %q", got.out, want)
	}
	t.Setenv("CONCLAVE_NUMBER", "many")
	if got := run(t.Context(), report); got.code != 2 || !strings.HasPrefix(got.err, "thing: error: CONCLAVE_NUMBER: invalid argument") {
		t.Errorf("a bad value: %d %q", got.code, got.err)
	}
	t.Setenv("CONCLAVE_NUMBER", "")
	if got := run(t.Context(), report, "--home=/k"); !strings.HasPrefix(got.out, "1 ") {
		t.Errorf("an empty value: %q", got.out)
	}
}

// TestForeignEnvironment: a variable that is set for another command's flag of the same name breaks nothing here.
func TestForeignEnvironment(t *testing.T) {
	t.Setenv("CONCLAVE_RELAY", "/ip4/192.0.2.1/tcp/4001")
	t.Setenv("CONCLAVE_ROLE", "B")
	t.Setenv("CONCLAVE_UI", "json")
	command := func() *cobra.Command {
		cmd := &cobra.Command{Use: "thing", Args: cobra.NoArgs}
		cmd.Flags().Bool("relay", false, "")
		cmd.Flags().String("role", "", "")
		cmd.Flags().String("ui", "off", "")
		cli.EnvUnless(cmd.Flags(), "role", "relay")
		cli.EnvMeans(cmd.Flags(), "ui", func(value string) bool { return strings.Contains(value, ":") })
		cmd.RunE = func(cmd *cobra.Command, _ []string) error {
			relay, _ := cmd.Flags().GetBool("relay")
			role, _ := cmd.Flags().GetString("role")
			_, err := fmt.Fprintf(cli.From(cmd.Context()).Out, "%v %q %s", relay, role, cmd.Flag("ui").Value)
			return err
		}
		return cmd
	}
	for _, c := range []struct {
		args []string
		ui   string
		want string
	}{
		{nil, "json", `false "B" off`},
		{nil, "127.0.0.1:0", `false "B" 127.0.0.1:0`},
		{[]string{"--relay"}, "json", `true "" off`},
		{[]string{"--relay", "--role=C"}, "json", `true "C" off`},
		{[]string{"--ui=plain"}, "json", `false "B" plain`},
	} {
		t.Setenv("CONCLAVE_UI", c.ui)
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), "thing", command(), c.args, cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != 0 || out.String() != c.want {
			t.Errorf("%v: %d, %q, %q; want %q", c.args, code, out.String(), errs.String(), c.want)
		}
	}
}

func TestDefaultHome(t *testing.T) {
	t.Setenv("CONCLAVE_HOME", "")
	got := run(t.Context(), func(_ *cobra.Command, env *cli.Env) error { _, err := fmt.Fprint(env.Out, env.Home); return err })
	if filepath.Base(got.out) != "conclave" || !filepath.IsAbs(got.out) {
		t.Errorf("home is %q", got.out)
	}
}

// TestHelp: asked for, help goes to stdout with exit code 0.
func TestHelp(t *testing.T) {
	t.Parallel()
	got := run(t.Context(), func(*cobra.Command, *cli.Env) error { return nil }, "--help")
	if got.code != 0 || got.err != "" || !strings.Contains(got.out, "--log-level") {
		t.Errorf("got %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if cli.IsTerminal(f) {
		t.Error("the null device is a terminal")
	}
}
