package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
	"conclave/pki"
	"conclave/pki/keystore"
)

func newShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Say who is in the group, until when, and whose keys are on this machine",
		Args:  cobra.NoArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		env := cli.From(cmd.Context())
		s, err := open(env)
		if err != nil {
			return err
		}
		warn(env, s)
		if *asJSON {
			return showJSON(env, s)
		}
		printGroup(env, s.group)
		if s.roster != nil {
			printRoster(env, s.roster)
		}
		return printHere(env, s.dir)
	}
	return cmd
}

// state is a group as it is on this machine.
type state struct {
	dir    keystore.Dir
	group  *pki.Group
	roster *pki.Roster // nil: none here
}

// open reads the chosen group.
func open(env *cli.Env) (*state, error) {
	dir, err := env.Dir()
	if err != nil {
		return nil, err
	}
	s := &state{dir: dir}
	if s.group, err = dir.Group(); err != nil {
		return nil, err
	}
	s.roster, err = dir.RosterFile(s.group, nil).Load()
	if err != nil && !errors.Is(err, keystore.ErrNoRoster) {
		return nil, err
	}
	return s, nil
}

// warn tells on stderr what ends within 30 days.
func warn(env *cli.Env, s *state) {
	now := time.Now()
	warnings := keystore.Warnings(s.group, nil, s.roster, now)
	if s.roster != nil {
		for _, c := range everybody(s.roster) {
			if w := pki.Warning(fmt.Sprintf("the certificate of %s %s", c.Kind, c.Role), c.NotAfter, now); w != "" {
				warnings = append(warnings, w)
			}
		}
	}
	for _, w := range warnings {
		env.Advise("warning: %s; go run ./cmd/ca renew\n", w)
	}
}

// everybody returns the certificates of all members and relay nodes.
func everybody(r *pki.Roster) []*pki.Certificate {
	var all []*pki.Certificate
	for _, m := range r.Members {
		all = append(all, m.Certificate)
	}
	for _, m := range r.Relays {
		all = append(all, m.Certificate)
	}
	return all
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func printGroup(env *cli.Env, g *pki.Group) {
	fmt.Fprintf(env.Out, "group       %s\n", g.Name)
	fmt.Fprintf(env.Out, "group ID    %s\n", g.ID)
	fmt.Fprintf(env.Out, "group code  %s\n", pki.GroupCode(g))
	fmt.Fprintf(env.Out, "CA          until %s\n", date(g.CA.NotAfter))
}

func printRoster(env *cli.Env, r *pki.Roster) {
	fmt.Fprintf(env.Out, "roster      version %d of %s, until %s, hash %s\n", r.Version, date(r.Issued), date(r.Expires), r.Hash)
	for _, m := range r.Members {
		fmt.Fprintf(env.Out, "member      %-8s %s  RSA-%d, until %s\n", m.Role, m.Peer, m.RSA.N.BitLen(), date(m.NotAfter))
	}
	for _, m := range r.Relays {
		fmt.Fprintf(env.Out, "relay node  %-8s %s  until %s\n", m.Role, m.Peer, date(m.NotAfter))
		for _, addr := range m.Addrs {
			fmt.Fprintf(env.Out, "address     %s\n", addr)
		}
	}
}

// printHere says whose private keys are on this machine.
func printHere(env *cli.Env, dir keystore.Dir) error {
	roles, err := dir.Roles()
	if err != nil {
		return err
	}
	for _, role := range roles {
		fmt.Fprintf(env.Out, "keys here   member %s\n", role)
	}
	if dir.HasRelay() {
		fmt.Fprintln(env.Out, "keys here   relay node")
	}
	if dir.HasAuthority() {
		fmt.Fprintln(env.Out, "keys here   CA")
	}
	return nil
}

// The form of show --json.
type (
	jsonGroup struct {
		Group   string      `json:"group"`
		ID      string      `json:"id"`
		Code    string      `json:"code"`
		CAUntil time.Time   `json:"ca_until"`
		Roster  *jsonRoster `json:"roster,omitempty"`
		Keys    jsonKeys    `json:"keys"`
	}
	jsonRoster struct {
		Version uint64       `json:"version"`
		Hash    string       `json:"hash"`
		Issued  time.Time    `json:"issued"`
		Expires time.Time    `json:"expires"`
		Members []jsonHolder `json:"members"`
		Relays  []jsonHolder `json:"relays"`
	}
	jsonHolder struct {
		Role  string    `json:"role"`
		Peer  string    `json:"peer"`
		Until time.Time `json:"until"`
		Addrs []string  `json:"addrs,omitempty"`
	}
	jsonKeys struct {
		Members []string `json:"members"`
		Relay   bool     `json:"relay"`
		CA      bool     `json:"ca"`
	}
)

func showJSON(env *cli.Env, s *state) error {
	out := jsonGroup{Group: s.group.Name, ID: s.group.ID.String(), Code: pki.GroupCode(s.group), CAUntil: s.group.CA.NotAfter}
	if r := s.roster; r != nil {
		out.Roster = &jsonRoster{Version: r.Version, Hash: r.Hash.String(), Issued: r.Issued.UTC(), Expires: r.Expires.UTC(), Members: []jsonHolder{}, Relays: []jsonHolder{}}
		for _, m := range r.Members {
			out.Roster.Members = append(out.Roster.Members, holder(m.Certificate))
		}
		for _, m := range r.Relays {
			h := holder(m.Certificate)
			for _, addr := range m.Addrs {
				h.Addrs = append(h.Addrs, addr.String())
			}
			out.Roster.Relays = append(out.Roster.Relays, h)
		}
	}
	roles, err := s.dir.Roles()
	if err != nil {
		return err
	}
	out.Keys = jsonKeys{Members: []string{}, Relay: s.dir.HasRelay(), CA: s.dir.HasAuthority()}
	for _, role := range roles {
		out.Keys.Members = append(out.Keys.Members, string(role))
	}
	return json.NewEncoder(env.Out).Encode(out)
}

func holder(c *pki.Certificate) jsonHolder {
	return jsonHolder{Role: string(c.Role), Peer: c.Peer.String(), Until: c.NotAfter.UTC()}
}
