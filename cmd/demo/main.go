package main

import (
	"errors"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
)

func main() { cli.Main("demo", newCommand()) }

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A relay node and the members A, B and C on this machine",
		Long: "Starts a relay node and the members A, B and C as separate processes with a group of their own, and passes lines\n" +
			"between them and this terminal. Opens a window of each; type \"A: hello\" to say hello as A, \"stop B\", \"start B\" or\n" +
			"\"restart relay\" to see how the others take it. Closing the windows or Ctrl-C ends everything. With --lan there is no\n" +
			"relay node: the three find each other.",
		Args: cobra.NoArgs,
	}
	open := cmd.Flags().String("open", "auto", "auto or never: whether to open windows, or tabs where no browser of Chrome's family is, beside printing their addresses")
	keep := cmd.Flags().Bool("keep", false, "keep the temporary folder with the logs and, without --home, the group")
	lan := cmd.Flags().Bool("lan", false, "A, B and C alone: they find each other by multicast DNS, without a relay node")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *open != "auto" && *open != "never" {
			return cli.Usagef("--open %q: want auto or never", *open)
		}
		env := cli.From(cmd.Context())
		opts := options{group: env.Group, open: *open, keep: *keep, lan: *lan}
		if cmd.Flags().Changed("home") {
			opts.home = env.Home
		}
		// A closed terminal or pipe must end the four as well, not leave them behind.
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		err := run(ctx, opts, env.In, env.Out, env.Log)
		if errors.Is(err, errNoBinaries) {
			return cli.WithHint(err, "put the binaries ca, relay and node beside this one, or run it in Conclave's source folder")
		}
		return err
	}
	return cmd
}
