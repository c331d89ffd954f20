package main

import (
	"context"
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
	yes := cmd.Flags().Bool("yes", false, "do not ask, also where the group's keeper or its last relay node is removed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		env := cli.From(cmd.Context())
		role, err := parseRole("role", args[0])
		if err != nil {
			return cli.Usage(err)
		}
		return revoke(cmd.Context(), env, role, *relay, *yes)
	}
	return cmd
}

func revoke(ctx context.Context, env *cli.Env, role wire.Role, relay, yes bool) error {
	s, a, done, err := openAuthority(ctx, env)
	if err != nil {
		return err
	}
	defer done()
	if question := doubtful(s, role, relay); question != "" {
		if err := env.Confirm(yes, question); err != nil {
			return err
		}
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

// doubtful returns what to ask before a removal that is hardly meant, or "".
func doubtful(s *state, role wire.Role, relay bool) string {
	if relay {
		if len(s.roster.Relays) == 1 && s.roster.Relays[0].Role == role {
			return fmt.Sprintf("%s is the last relay node: members can then meet only on one local network. Remove it?", role)
		}
		return ""
	}
	if _, ok := s.roster.Member(role); !ok {
		return ""
	}
	if len(s.roster.Members) == 1 {
		return fmt.Sprintf("%s is the last member: the group is then empty. Remove %s?", role, role)
	}
	if here, err := s.dir.Roles(); err == nil && len(here) == 1 && here[0] == role {
		return fmt.Sprintf("%s is the member of this very machine, which keeps the group. Remove yourself?", role)
	}
	return ""
}

func newRenew() *cobra.Command {
	return &cobra.Command{
		Use:   "renew",
		Short: "Issue everybody's certificate anew, for the same keys and another year, and sign a new roster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env := cli.From(cmd.Context())
			s, a, done, err := openAuthority(cmd.Context(), env)
			if err != nil {
				return err
			}
			defer done()
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
		return keystore.WriteShared(*out, s.roster.Envelope)
	}
	return cmd
}

// openAuthority reads the chosen group and its CA key, and has the group's CA to itself until done is called: of two
// commands that each sign the version after the newest, one would sign a rival of the other's.
func openAuthority(ctx context.Context, env *cli.Env) (s *state, a *authority.Authority, done func(), err error) {
	dir, err := env.Dir()
	if err != nil {
		return nil, nil, nil, err
	}
	if !dir.HasAuthority() {
		g, err := dir.Group()
		if err != nil {
			return nil, nil, nil, err
		}
		return nil, nil, nil, cli.WithHint(fmt.Errorf("the CA key of group %s is not in %s", g.Name, dir.Path()),
			"run this on the machine of the group's keeper")
	}
	done, err = dir.LockAuthority(ctx, func() {
		fmt.Fprintln(env.Err, "Waiting for another ca command that changes this group.")
	})
	if err != nil {
		return nil, nil, nil, err
	}
	if s, err = openWithRoster(env); err == nil {
		a, err = authority.Open(dir, authority.Options{})
	}
	if err != nil {
		done()
		return nil, nil, nil, err
	}
	return s, a, done, nil
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
	env.Advise("Hand it to the running relay node: go run ./cmd/ca roster --out FILE here, and go run ./cmd/relay roster FILE there.\n" +
		"Members get it from the relay node, and the relay node from any member that has it.\n")
}
