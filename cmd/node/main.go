package main

import (
	"strings"

	"conclave/cmd/internal/cli"

	"github.com/spf13/cobra"
)

func main() { cli.Main("node", newCommand()) }

// flags are the settings of one run.
type flags struct {
	role    string
	relay   []string
	listen  []string
	lan     string
	ui      string
	window  string
	showKey bool
	stay    bool
}

func newCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a member of a group",
		Long:  "Runs a member of a group: agrees on the group's key with the others, sends the lines it reads, shows what they send.",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&f.role, "role", "", "which member this is (default: the home's only one)")
	cmd.Flags().StringArrayVar(&f.relay, "relay", nil, "HOST:PORT or multiaddr of a relay node, repeatable (default: the roster's, and what is found on the local network)")
	cmd.Flags().StringArrayVar(&f.listen, "listen", nil, "IP:PORT or multiaddr to accept connections on, repeatable, or none (default: free TCP and QUIC ports)")
	cmd.Flags().StringVar(&f.lan, "lan", "auto", "look for the others on the local network: "+cli.LANHelp+" (auto: on without --relay)")
	cmd.Flags().StringVar(&f.ui, "ui", "auto", "auto, tui, plain, json or web; json,web and plain,web show a window beside the lines")
	cli.EnvMeans(cmd.Flags(), "ui", func(value string) bool { return value != "off" && !strings.Contains(value, ":") }) // a relay node's is an address
	cmd.Flags().StringVar(&f.window, "window", "", "loopback address of the web window (default: a free port where --ui says web, else none)")
	cmd.Flags().BoolVar(&f.showKey, "show-key", false, "print Kabc itself, for a demonstration")
	cmd.Flags().BoolVar(&f.stay, "stay", false, "keep running after the end of input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return serve(cmd.Context(), cli.From(cmd.Context()), f)
	}
	cmd.AddCommand(newDoctorCommand())
	return cmd
}
