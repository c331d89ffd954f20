package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/keystore"
)

func newRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ROLE",
		Short: "Sign a new roster without that member (with --relay: without that relay node)",
		Args:  cobra.ExactArgs(1),
	}
	relay := cmd.Flags().Bool("relay", false, "ROLE is the name of a relay node")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		env := cli.From(cmd.Context())
		role, err := parseRole("role", args[0])
		if err != nil {
			return cli.Usage(err)
		}
		return revoke(env, role, *relay)
	}
	return cmd
}

func revoke(env *cli.Env, role wire.Role, relay bool) error {
	s, a, err := openAuthority(env)
	if err != nil {
		return err
	}
	draft := authority.DraftOf(s.roster)
	remove := draft.RemoveMember
	if relay {
		remove = draft.RemoveRelay
	}
	if err := remove(role); err != nil {
		return cli.WithHint(err, "go run ./cmd/ca show lists who is in the roster")
	}
	roster, err := publish(s, a, draft)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "roster version %d of group %s is without %s\n", roster.Version, s.group.Name, role)
	adviseRoster(env)
	return nil
}

func newRenew() *cobra.Command {
	return &cobra.Command{
		Use:   "renew",
		Short: "Issue everybody's certificate anew, for the same keys and another year, and sign a new roster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env := cli.From(cmd.Context())
			s, a, err := openAuthority(env)
			if err != nil {
				return err
			}
			draft, err := a.Renew(s.roster)
			if err != nil {
				return err
			}
			roster, err := publish(s, a, draft)
			if err != nil {
				return err
			}
			if err := s.dir.Update(roster); err != nil {
				return err
			}
			fmt.Fprintf(env.Out, "roster version %d of group %s is valid until %s\n", roster.Version, s.group.Name, date(roster.Expires))
			adviseRoster(env)
			return nil
		},
	}
}

func newRoster() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roster --out FILE",
		Short: "Write the newest roster to a file (- for stdout); nothing in it is secret",
		Args:  cobra.NoArgs,
	}
	out := cmd.Flags().String("out", "", "the file to write")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		env := cli.From(cmd.Context())
		if *out == "" {
			return cli.Usagef("want --out FILE")
		}
		s, err := openWithRoster(env)
		if err != nil {
			return err
		}
		if *out == "-" {
			_, err := env.Out.Write(s.roster.Envelope)
			return err
		}
		return keystore.WriteFile(*out, s.roster.Envelope)
	}
	return cmd
}

// openAuthority reads the chosen group and its CA key.
func openAuthority(env *cli.Env) (*state, *authority.Authority, error) {
	s, err := openWithRoster(env)
	if err != nil {
		return nil, nil, err
	}
	if !s.dir.HasAuthority() {
		return nil, nil, cli.WithHint(fmt.Errorf("the CA key of group %s is not in %s", s.group.Name, s.dir.Path()),
			"run this on the machine of the group's keeper")
	}
	a, err := authority.Open(s.dir, authority.Options{})
	return s, a, err
}

// publish signs a draft as the version after the newest roster and makes it the newest.
func publish(s *state, a *authority.Authority, d *authority.Draft) (*pki.Roster, error) {
	roster, err := a.Sign(d, s.roster)
	if err != nil {
		return nil, err
	}
	return roster, s.dir.RosterFile(s.group, nil).Save(roster)
}

// adviseRoster says how a new roster gets to the others.
func adviseRoster(env *cli.Env) {
	fmt.Fprintln(env.Err, "Hand it to the running relay node: go run ./cmd/ca roster --out FILE here, and go run ./cmd/relay roster FILE there.\n"+
		"Members get it from the relay node, and the relay node from any member that has it.")
}
