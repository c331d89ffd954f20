// Package cli is what the four commands have in common: flags, environment, logging, signals, errors and exit codes.
//
// A command is a cobra command whose RunE asks for its surroundings:
//
//	func main() { cli.Main("relay", newCommand()) }
//
//	func newCommand() *cobra.Command {
//		cmd := &cobra.Command{Use: "relay", Short: "...", Args: cobra.NoArgs}
//		listen := cmd.Flags().StringArray("listen", nil, "address to listen on")
//		cmd.RunE = func(cmd *cobra.Command, args []string) error {
//			env := cli.From(cmd.Context())      // Home, Group, Log, In, Out, Err
//			dir, err := env.Dir()               // the chosen group's folder; its errors have hints
//			...
//			<-cmd.Context().Done()              // SIGINT or SIGTERM
//		}
//		return cmd
//	}
//
// Tests call Run with their own arguments and streams; it never exits the process and touches nothing global.
//
// # The contract
//
// Every command takes --home, --group, --log-level and --version; every flag also reads CONCLAVE_<FLAG> (in capitals, '-' as '_'; a
// repeatable flag takes a list separated by commas or spaces); a flag wins over the environment, and a value that the flag
// cannot mean, because it is meant for another command's flag of that name, is passed over. An error is one line
// "<command>: error: <what>" on stderr, then "hint: <what to do>" where there is one, which names other commands as this one
// was called (write `go run ./cmd/NAME` in it; Env.Advise and Env.Called do the same for other texts); exit code 2 for wrong usage, 1 for
// failure, 0 else. Logs go to stderr. The first SIGINT, SIGTERM or SIGHUP cancels the command's context, a second one kills; a
// command that then returns context.Canceled ended cleanly. A command that calls Env.Hangups is told of SIGHUP instead. A
// write to a pipe that nobody reads any more fails and does not kill.
//
// Run takes the root's PersistentPreRunE for itself; commands must not set one.
package cli
