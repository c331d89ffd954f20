package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/keystore"
)

func newRequest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "request (--role ROLE | --relay)",
		Short: "Make keys on this machine and print a request for the group's keeper",
		Args:  cobra.NoArgs,
	}
	role := cmd.Flags().String("role", "", "the role to ask for; with --relay the relay node's name, when it is not the group's first")
	relay := cmd.Flags().Bool("relay", false, "ask for a relay node's certificate")
	code := cmd.Flags().String("code", "", "the group code of the group that --group names, as the group's keeper reads it out")
	cli.EnvUnless(cmd.Flags(), "role", "relay") // there it names a member
	cli.EnvUnless(cmd.Flags(), "relay", "role")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		env := cli.From(cmd.Context())
		if (*role == "") && !*relay {
			return cli.Usagef("want --role ROLE or --relay")
		}
		kind, name := pki.KindMember, *role
		if *relay {
			kind = pki.KindRelay
			if name == "" {
				name = string(authority.RelayName)
			}
		}
		parsed, err := parseRole("--role", name)
		if err != nil {
			return cli.Usage(err)
		}
		asked, err := askedGroup(env, *code)
		if err != nil {
			return cli.Usage(err)
		}
		return request(env, kind, parsed, asked)
	}
	return cmd
}

// request prints a request for the pending keys of that role, which it makes if there are none yet.
func request(env *cli.Env, kind pki.Kind, role wire.Role, asked pki.Asked) error {
	p, err := keystore.OpenPending(env.Home, kind, role)
	if errors.Is(err, keystore.ErrNoRequest) {
		p, err = newPending(env.Home, kind, role)
	}
	if err != nil {
		return err
	}
	der, err := p.Request(asked)
	if err != nil {
		return err
	}
	if _, err := env.Out.Write(keystore.EncodeRequest(der)); err != nil {
		return err
	}
	if asked == (pki.Asked{}) {
		env.Advise("The request does not say for which group it is; --group NAME does, and keeps it from being signed in another.\n")
	}
	env.Advise("The keys of %s %s stay in %s. Send the request to the group's keeper, who runs\n"+
		"go run ./cmd/ca sign FILE, and read the answer here with go run ./cmd/ca import FILE.\n", kind, role, env.Home)
	return nil
}

// askedGroup returns the group that --group and --code name. A group that is here already has its code.
func askedGroup(env *cli.Env, code string) (pki.Asked, error) {
	asked := pki.Asked{Name: env.Group}
	switch {
	case asked.Name == "" && code != "":
		return asked, errors.New("--code is the code of a group: name it with --group NAME")
	case asked.Name == "":
		return asked, nil
	}
	if _, err := wire.ParseRole(asked.Name); err != nil {
		return asked, fmt.Errorf("--group %q: a group's name follows the rules of a role: %w", asked.Name, err)
	}
	if code == "" {
		if dir, err := keystore.FindGroup(env.Home, asked.Name); err == nil {
			if g, err := dir.Group(); err == nil {
				code = pki.GroupCode(g)
			}
		}
	}
	if code == "" {
		return asked, nil
	}
	digits, err := pki.ParseCode(code)
	if err != nil {
		return asked, fmt.Errorf("--code: %w", err)
	}
	asked.Code = digits
	return asked, nil
}

func newPending(home string, kind pki.Kind, role wire.Role) (*keystore.Pending, error) {
	if kind == pki.KindRelay {
		_, identity, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return keystore.WritePending(home, role, identity, (*rsa.PrivateKey)(nil))
	}
	identity, key, err := authority.NewMemberKeys()
	if err != nil {
		return nil, err
	}
	return keystore.WritePending(home, role, identity, key)
}

func newSign() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign REQUEST",
		Short: "Admit whoever made the request (a file, or - for stdin) and print what he imports",
		Args:  cobra.ExactArgs(1),
	}
	replace := cmd.Flags().Bool("replace", false, "the new keys take the place of the role's present ones")
	addrs := cmd.Flags().StringArray("relay-addr", nil, "for a relay node: HOST:PORT (TCP and QUIC) or multiaddr where it can be reached (repeatable)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		env := cli.From(cmd.Context())
		parsed, err := parseAddrs(*addrs)
		if err != nil {
			return cli.Usage(err)
		}
		req, err := readArg(env, args[0], keystore.ReadRequest)
		if err != nil {
			return err
		}
		return sign(cmd.Context(), env, req, parsed, *replace)
	}
	return cmd
}

// sign issues a certificate, signs a roster with it and prints the bundle.
func sign(ctx context.Context, env *cli.Env, req *pki.Request, addrs []ma.Multiaddr, replace bool) error {
	s, a, done, err := openAuthority(ctx, env)
	if err != nil {
		return err
	}
	defer done()
	if req.Kind == pki.KindRelay && len(addrs) == 0 {
		return cli.Usagef("a relay node's request needs --relay-addr")
	}
	if err := checkAsked(env, s.group, req); err != nil {
		return err
	}
	cert, err := a.Answer(req)
	if err != nil {
		return err
	}
	if err := checkPlace(s.roster, cert, replace); err != nil {
		return err
	}
	draft := authority.DraftOf(s.roster)
	if req.Kind == pki.KindRelay {
		full, err := authority.WithPeer(addrs, cert.Peer)
		if err != nil {
			return err
		}
		draft.SetRelay(cert, full)
	} else {
		draft.SetMember(cert)
	}
	roster, err := publish(s, a, draft)
	if err != nil {
		return err
	}
	bundle := keystore.Bundle{CA: s.group.CA.Raw, Cert: cert.DER, Roster: roster.Envelope}
	if _, err := env.Out.Write(bundle.Encode()); err != nil {
		return err
	}
	env.Advise("%s %s is in roster version %d. Its peer ID is %s: make sure that the request came from the right person.\n"+
		"Give him the group code to compare: %s\n", cert.Kind, cert.Role, roster.Version, cert.Peer, pki.GroupCode(s.group))
	return nil
}

// checkAsked refuses a request that was made for another group: whoever keeps several would let somebody into the wrong one.
func checkAsked(env *cli.Env, g *pki.Group, req *pki.Request) error {
	switch asked := req.Asked; {
	case asked == (pki.Asked{}):
		env.Advise("warning: this request does not say for which group it is: make sure that it is meant for %s.\n", g.Name)
		return nil
	case asked.Means(g):
		return nil
	case asked.Name == g.Name:
		return cli.WithHint(fmt.Errorf("the request is for a group %s with another group code", asked.Name),
			"compare the code by voice: this group's is "+pki.GroupCode(g))
	default:
		return cli.WithHint(fmt.Errorf("the request is for the group %s, and this is %s", asked.Name, g.Name),
			"sign it with --group "+asked.Name+", or let it be made again with --group "+g.Name)
	}
}

// checkPlace refuses to push somebody else out of a role unawares.
func checkPlace(r *pki.Roster, c *pki.Certificate, replace bool) error {
	for _, other := range everybody(r) {
		taken := other.Kind == c.Kind && authority.SameName(other.Role, c.Role)
		switch {
		case taken && !replace && !other.SameHolder(c):
			hint := "if the new keys shall take its place: --replace"
			if c.Kind == pki.KindRelay {
				hint += "; for one more relay node, ask under another name: go run ./cmd/ca request --relay --role NAME"
			}
			return cli.WithHint(fmt.Errorf("%s %s is in the roster with other keys", other.Kind, other.Role), hint)
		case !taken && other.Peer == c.Peer:
			return fmt.Errorf("the same keys are in the roster as %s %s", other.Kind, other.Role)
		}
	}
	return nil
}

func newImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Take what the group's keeper sent (a file, or - for stdin): a certificate, a roster, or both",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			env := cli.From(cmd.Context())
			bundle, err := readArg(env, args[0], keystore.ReadBundle)
			if err != nil {
				return err
			}
			return importBundle(env, bundle)
		},
	}
}

// importBundle verifies all of a bundle before it writes any of it.
func importBundle(env *cli.Env, b *keystore.Bundle) error {
	g, err := bundleGroup(env, b)
	if err != nil {
		return err
	}
	if b.Roster == nil {
		return fmt.Errorf("%w: no roster in it", keystore.ErrBundle)
	}
	roster, err := pki.OpenRoster(g, b.Roster, time.Now())
	if err != nil {
		return err
	}
	var cert *pki.Certificate
	if b.Cert != nil {
		if cert, err = pki.VerifyCertificate(g, b.Cert, time.Now()); err != nil {
			return err
		}
		if _, err := roster.Verify(g, b.Cert, cert.Peer, time.Now()); err != nil {
			return err
		}
		if err := haveKeys(env.Home, g, cert); err != nil {
			return err
		}
	}
	dir, err := joinGroup(env.Home, g)
	if err != nil {
		return err
	}
	if err := dir.RosterFile(g, nil).Save(roster); err != nil {
		return err
	}
	if cert != nil {
		if err := dir.Accept(env.Home, cert); err != nil {
			return err
		}
		fmt.Fprintf(env.Out, "%s %s of group %s is in %s\n", cert.Kind, cert.Role, g.Name, dir.Path())
	}
	if err := dir.Update(roster); err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "roster version %d of group %s is in %s\n", roster.Version, g.Name, dir.Path())
	if cert != nil {
		env.Advise("Compare the group code with the group's keeper, by voice or in person: %s\n", pki.GroupCode(g))
	}
	return nil
}

// haveKeys returns keystore.ErrNoRequest unless the certificate's private keys are on this machine, so that an import
// for somebody else leaves nothing behind.
func haveKeys(home string, g *pki.Group, c *pki.Certificate) error {
	if p, err := keystore.OpenPending(home, c.Kind, c.Role); err == nil && c.Identity.Equal(p.Identity.Public()) {
		return nil
	}
	dir, err := keystore.FindGroup(home, g.Name)
	if err == nil && dir.Holds(c) {
		return nil
	}
	return cli.WithHint(fmt.Errorf("%w: %s %s, peer %s", keystore.ErrNoRequest, c.Kind, c.Role, c.Peer),
		"import on the machine, and into the home, where go run ./cmd/ca request was run")
}

// bundleGroup returns the group that a bundle belongs to: the one it brings along, else the one chosen on this machine.
func bundleGroup(env *cli.Env, b *keystore.Bundle) (*pki.Group, error) {
	if b.CA != nil {
		return pki.ParseGroup(b.CA)
	}
	dir, err := env.Dir()
	if errors.Is(err, keystore.ErrNoGroup) {
		err = cli.WithHint(err, "this file brings no group along: import what the group's keeper got from go run ./cmd/ca sign")
	}
	if err != nil {
		return nil, err
	}
	return dir.Group()
}

// readArg reads a file, or stdin for "-".
func readArg[T any](env *cli.Env, name string, read func(io.Reader) (T, error)) (T, error) {
	if name == "-" {
		return read(env.In)
	}
	f, err := os.Open(name)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	v, err := read(f)
	if err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}
