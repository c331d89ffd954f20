package main

import (
	"strings"

	"conclave/cmd/internal/cli"

	"github.com/spf13/cobra"
)

func main() { cli.Main("relay", newCommand()) }

func newCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run the relay node of a group",
		Long:  "Runs the relay node of a group: the place that every member can reach. It sees no message and no key.",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringArrayVar(&f.listen, "listen", nil, "IP:PORT (TCP and QUIC) or multiaddr to listen on, repeatable (default TCP, QUIC and WebSocket on port 4001, all interfaces)")
	cmd.Flags().StringArrayVar(&f.announce, "announce", nil, "HOST:PORT or multiaddr that others reach this relay node at, repeatable (default where it listens)")
	cmd.Flags().StringArrayVar(&f.peer, "peer", nil, "HOST:PORT or multiaddr of another relay node of the group, ending in /p2p/<peer ID>, repeatable (beside those in the roster)")
	cmd.Flags().StringArrayVar(&f.via, "via", nil, "HOST:PORT or multiaddr of another relay node, ending in /p2p/<peer ID>, through which this one is reached, when it is behind NAT, repeatable")
	cmd.Flags().StringVar(&f.ui, "ui", noWindow, "loopback address of the web window, such as 127.0.0.1:0, or off")
	cli.EnvMeans(cmd.Flags(), "ui", func(value string) bool { return value == noWindow || strings.Contains(value, ":") }) // a member's is a word
	cmd.Flags().StringVar(&f.lan, "lan", lanOn, "whether members on the local network find it by themselves: "+cli.LANHelp)
	cmd.Flags().StringVar(&f.config, "config", "", "TOML file with settings; flags and environment win over it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return serve(cmd.Context(), cli.From(cmd.Context()), f, cmd.Flags().Changed)
	}
	cmd.AddCommand(newRosterCommand())
	return cmd
}
