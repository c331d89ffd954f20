package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
)

func newExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export (--role ROLE | --relay) --to DIR",
		Short: "Write a home with only what one machine needs: no CA key, no other member's key",
		Args:  cobra.NoArgs,
	}
	role := cmd.Flags().String("role", "", "the member to export")
	relay := cmd.Flags().Bool("relay", false, "export the relay node")
	to := cmd.Flags().String("to", "", "the new home")
	cli.EnvUnless(cmd.Flags(), "role", "relay")
	cli.EnvUnless(cmd.Flags(), "relay", "role")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		env := cli.From(cmd.Context())
		if (*role == "") == !*relay || *to == "" {
			return cli.Usagef("want --to DIR, and either --role ROLE or --relay")
		}
		s, err := openWithRoster(env)
		if err != nil {
			return err
		}
		if *relay {
			return exportTo(env, s, *to, func(home string) error { return exportRelay(env, s, home, *to) })
		}
		name, err := parseRole("--role", *role)
		if err != nil {
			return cli.Usage(err)
		}
		return exportTo(env, s, *to, func(home string) error { return exportMember(env, s, name, home, *to) })
	}
	return cmd
}

// exportTo has a home written to a folder. On a file system without permissions, such as a stick's, it is put together on this
// machine first, and copied with a warning: there is no other way to carry it, and who carries it has to know.
func exportTo(env *cli.Env, s *state, to string, export func(home string) error) error {
	if err := keystore.MakeDir(to); err != nil {
		return err
	}
	holds, err := keystore.HoldsModes(to)
	if err != nil {
		return err
	}
	if holds {
		return export(to)
	}
	home, err := os.MkdirTemp("", "conclave-export-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	name := s.group.Name
	if err := keystore.CopyFolder(filepath.Join(home, name), filepath.Join(to, name)); err != nil { // what is there stays
		return err
	}
	if err := export(home); err != nil {
		return err
	}
	if err := keystore.CopyFolder(to, home); err != nil {
		return err
	}
	env.Advise("warning: the file system of %s has no permissions: whoever holds it can read the private keys.\n"+
		"On the other machine, copy the group's folder onto its own disk and close it to others (chmod -R go= FOLDER) before you use it.\n", to)
	return nil
}

func exportMember(env *cli.Env, s *state, role wire.Role, home, to string) error {
	m, err := s.dir.OpenMember(role)
	if err != nil {
		return err
	}
	dir, err := joinGroup(home, s.group)
	if err != nil {
		return err
	}
	if err := dir.WriteMember(role, m.Cert.DER, m.Identity, m.RSA); err != nil {
		return err
	}
	return finishExport(env, s, dir, to, "member "+string(role), "go run ./cmd/node --role "+string(role))
}

func exportRelay(env *cli.Env, s *state, home, to string) error {
	r, err := s.dir.OpenRelay()
	if err != nil {
		return err
	}
	dir, err := joinGroup(home, s.group)
	if err != nil {
		return err
	}
	if err := dir.WriteRelay(r.Cert.DER, r.Identity); err != nil {
		return err
	}
	return finishExport(env, s, dir, to, "the relay node", "go run ./cmd/relay")
}

// finishExport adds the roster and says what to do with the new home.
func finishExport(env *cli.Env, s *state, dir keystore.Dir, to, who, next string) error {
	if err := dir.RosterFile(s.group, nil).Save(s.roster); err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "%s of group %s is in %s\n", who, s.group.Name, filepath.Join(to, s.group.Name))
	env.Advise("Private keys are in it: carry it on a way that nobody else can read, use it there with\n%s --home DIR, "+
		"and delete what is left here and on the way.\n", next)
	return nil
}

// openWithRoster is open, where a roster is needed.
func openWithRoster(env *cli.Env) (*state, error) {
	s, err := open(env)
	if err != nil {
		return nil, err
	}
	if s.roster == nil {
		return nil, keystore.ErrNoRoster
	}
	return s, nil
}

// joinGroup returns the group's folder in a home, made if it is missing. Another group of the same name is
// keystore.ErrGroupExists.
func joinGroup(home string, g *pki.Group) (keystore.Dir, error) {
	dir, err := keystore.FindGroup(home, g.Name)
	if errors.Is(err, keystore.ErrNoGroup) {
		return keystore.CreateGroup(home, g)
	}
	if err != nil {
		return keystore.Dir{}, err
	}
	there, err := dir.Group()
	if err != nil {
		return keystore.Dir{}, err
	}
	if there.ID != g.ID {
		return keystore.Dir{}, fmt.Errorf("%w: %s is another group of the name %q", keystore.ErrGroupExists, dir.Path(), g.Name)
	}
	return dir, nil
}
