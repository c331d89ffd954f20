package main

import (
	"errors"
	"fmt"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/keystore"
)

// defaultGroup is the name of the group that init makes when it is not told another.
const defaultGroup = "local"

func newInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a group: CA, relay node, members and roster, all keys on this machine",
		Args:  cobra.NoArgs,
	}
	members := cmd.Flags().StringSlice("members", []string{"A", "B", "C"}, "roles of the members")
	addrs := cmd.Flags().StringArray("relay-addr", nil, "HOST:PORT (TCP and QUIC) or multiaddr where the relay node can be reached (repeatable; default TCP and QUIC on loopback, port 4001)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		env := cli.From(cmd.Context())
		plan := authority.Plan{Name: env.Group}
		if plan.Name == "" {
			plan.Name = defaultGroup
		}
		if _, err := wire.ParseRole(plan.Name); err != nil {
			return cli.Usagef("--group %q: a group's name follows the rules of a role: %w", plan.Name, err)
		}
		var err error
		if plan.Members, err = parseRoles(*members); err != nil {
			return cli.Usage(err)
		}
		if plan.RelayAddrs, err = parseAddrs(*addrs); err != nil {
			return cli.Usage(err)
		}
		dir, roster, err := authority.Found(env.Home, plan, authority.Options{})
		if err != nil {
			return err
		}
		return reportInit(env, dir, roster)
	}
	return cmd
}

// reportInit says what was made and where the keys are.
func reportInit(env *cli.Env, dir keystore.Dir, roster *pki.Roster) error {
	g, err := dir.Group()
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "group %s is in %s\n", g.Name, dir.Path())
	printGroup(env, g)
	printRoster(env, roster)
	env.Advise("All keys are on this machine: the CA key, the relay node's and those of every member.\n"+
		"Whoever can read %s can read the group and add members to it.\n"+
		"Keep a copy of authority/ca-key.pem, ca.pem and roster.bin in a place that is locked: without the CA key nobody can be\n"+
		"added, removed or renewed.\n", dir.Path())
	env.Advise("Next: go run ./cmd/relay, and go run ./cmd/node --role %s, each in a terminal of its own;\n"+
		"or go run ./cmd/ca export --role %s --to DIR for another machine.\n", firstRole(roster), firstRole(roster))
	return nil
}

func firstRole(r *pki.Roster) wire.Role {
	if len(r.Members) == 0 {
		return "ROLE"
	}
	return r.Members[0].Role
}

// parseRoles reads a list of roles, no two of which may differ by case alone.
func parseRoles(names []string) ([]wire.Role, error) {
	var roles []wire.Role
	seen := make(map[string]bool)
	for _, name := range names {
		role, err := parseRole("member", strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if folded := strings.ToLower(name); seen[folded] {
			return nil, fmt.Errorf("role %q: named twice (upper and lower case count as one)", name)
		} else {
			seen[folded] = true
		}
		roles = append(roles, role)
	}
	if len(roles) == 0 {
		return nil, errors.New("a group needs a member: name one or more with --members")
	}
	if len(roles) > wire.MaxMembers {
		return nil, fmt.Errorf("%d members: at most %d", len(roles), wire.MaxMembers)
	}
	return roles, nil
}

func parseRole(what, name string) (wire.Role, error) {
	role, err := wire.ParseRole(name)
	if err != nil {
		return "", fmt.Errorf("%s %q: %w", what, name, err)
	}
	return role, nil
}

func parseAddrs(texts []string) ([]ma.Multiaddr, error) {
	addrs, err := cli.Multiaddrs("--relay-addr", texts, "it looks like 203.0.113.5:4001, which is TCP and QUIC, relay.example:4001 or /ip4/203.0.113.5/tcp/4001/ws")
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		_, circuit := addr.ValueForProtocol(ma.P_CIRCUIT)
		if _, named := addr.ValueForProtocol(ma.P_P2P); named == nil && circuit != nil {
			return nil, fmt.Errorf("--relay-addr %s: %w", addr, authority.ErrAddr)
		}
	}
	if len(addrs) > wire.MaxRelayAddrs {
		return nil, errors.New("too many addresses for one relay node")
	}
	return addrs, nil
}
