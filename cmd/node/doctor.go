package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"conclave/cmd/internal/cli"
	"conclave/cmd/internal/inert"
	"conclave/node"
	"conclave/node/doctor"

	"github.com/spf13/cobra"
)

// doctorFlags are the settings of one examination.
type doctorFlags struct {
	role  string
	relay []string
	json  bool
	wait  time.Duration
}

func newDoctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why a member does not reach its group",
		Long: "Looks at every hop between a member and its group, one after the other: clock, name, port, transport, relay identity,\n" +
			"certificate, roster, reservation, topic, epoch, peer. Says of each how it is and of a broken one what to do. It can run\n" +
			"beside the member. Exit code 1 says that something is broken.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&f.role, "role", "", "which member this is (default: the home's only one)")
	cmd.Flags().StringArrayVar(&f.relay, "relay", nil, "HOST:PORT or multiaddr of a relay node, repeatable (default: the roster's)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object for each finding")
	cmd.Flags().DurationVar(&f.wait, "wait", 5*time.Second, "how long one answer is waited for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return examine(cmd.Context(), cli.From(cmd.Context()), f)
	}
	return cmd
}

// examine prints what the doctor finds and fails when something is broken.
func examine(ctx context.Context, env *cli.Env, f doctorFlags) error {
	cfg, err := patient(env, f)
	if err != nil {
		return err
	}
	env.Log.Info("looking at each hop; that takes up to half a minute where something does not answer")
	found := doctor.Run(ctx, cfg, doctor.Options{Patience: f.wait})
	if ctx.Err() != nil {
		return nil // interrupted: what is missing was not looked at
	}
	for _, one := range found {
		if err := printFinding(env, one, f.json); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
	broken := doctor.Broken(found)
	if len(broken) == 0 {
		return nil
	}
	names := make([]string, len(broken))
	for i, hop := range broken {
		names[i] = string(hop)
	}
	return cli.WithHint(fmt.Errorf("broken: %s", strings.Join(names, ", ")), "what to do stands below each; begin with the first")
}

func printFinding(env *cli.Env, f doctor.Finding, asJSON bool) error {
	f.Hint = env.Called(f.Hint)
	if asJSON {
		return json.NewEncoder(env.Out).Encode(struct {
			Event string    `json:"event"`
			Time  time.Time `json:"time"`
			doctor.Finding
		}{"finding", time.Now().UTC(), f})
	}
	line := fmt.Sprintf("%-4s  %-11s  %s\n", f.State, f.Hop, inert.Line(f.What))
	if f.Hint != "" {
		line += fmt.Sprintf("%-4s  %-11s  hint: %s\n", "", "", inert.Line(f.Hint))
	}
	_, err := io.WriteString(env.Out, line)
	return err
}

// patient reads what the member has on this machine. Unlike configure it takes papers that are out of date: to say so is
// the doctor's part.
func patient(env *cli.Env, f doctorFlags) (node.Config, error) {
	relays, err := cli.Multiaddrs("--relay", f.relay, addressHint)
	if err != nil {
		return node.Config{}, err
	}
	dir, identity, err := openMember(env, f.role)
	if err != nil {
		return node.Config{}, err
	}
	return node.Config{
		Group: identity.Group, Certificate: identity.Cert.DER, Identity: identity.Identity, RSA: identity.RSA,
		Roster: identity.Roster, RosterFile: dir.RosterFile(identity.Group, nil),
		StatePath: filepath.Join(identity.Dir, "state.db"), Relays: relays,
	}, nil
}
