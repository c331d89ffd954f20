package authority

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
)

// RelayName is the name of a group's first relay node.
const RelayName wire.Role = "relay"

// LocalRelayAddrs are a relay node's addresses when it is used from its own machine only.
var LocalRelayAddrs = []string{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1"}

// Plan is a new group, all of whose keys are made on one machine.
type Plan struct {
	Name       string
	Members    []wire.Role
	RelayAddrs []ma.Multiaddr // without /p2p, which is added; default LocalRelayAddrs
}

// Found creates a group in a home, with its CA key, a relay node, every member's keys and roster version 1, all at once or
// not at all: what is left of a founding that was killed is removed by the next in that home. Whoever can read that home then is the CA, the relay node and every member: for a demonstration, or to
// export each identity to its own machine. It returns keystore.ErrGroupExists if the home has a group of that name.
func Found(home string, plan Plan, opts Options) (keystore.Dir, *pki.Roster, error) {
	fail := func(err error) (keystore.Dir, *pki.Roster, error) {
		return keystore.Dir{}, nil, fmt.Errorf("founding group %q: %w", plan.Name, err)
	}
	a, err := Create(plan.Name, opts)
	if err != nil {
		return fail(err)
	}
	temp, done, err := keystore.Workshop(home)
	if err != nil {
		return fail(err)
	}
	defer done()
	final := filepath.Join(home, plan.Name)
	if _, err := os.Stat(final); err == nil {
		return fail(fmt.Errorf("%w: %s", keystore.ErrGroupExists, final))
	}
	dir, err := keystore.CreateGroup(temp, a.Group())
	if err != nil {
		return fail(err)
	}
	if err := a.populate(dir, plan); err != nil {
		return fail(err)
	}
	if err := os.Rename(dir.Path(), final); err != nil {
		return fail(err)
	}
	dir, err = keystore.FindGroup(home, plan.Name)
	if err != nil {
		return fail(err)
	}
	roster, err := dir.RosterFile(a.group, a.opts.Now).Load()
	if err != nil {
		return fail(err)
	}
	return dir, roster, nil
}

// populate makes and writes everything of a new group but its CA certificate.
func (a *Authority) populate(dir keystore.Dir, plan Plan) error {
	if err := a.Save(dir); err != nil {
		return err
	}
	draft := &Draft{}
	if err := a.makeRelay(dir, draft, plan.RelayAddrs); err != nil {
		return err
	}
	certs := make([]*pki.Certificate, len(plan.Members))
	var group errgroup.Group
	group.SetLimit(8) // making an RSA key takes a tenth of a second or more
	for i, role := range plan.Members {
		group.Go(func() (err error) {
			certs[i], err = a.makeMember(dir, role)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, c := range certs {
		if slices.ContainsFunc(draft.Members, func(m *pki.Certificate) bool { return SameName(m.Role, c.Role) }) {
			return fmt.Errorf("the role %q is named twice (upper and lower case count as one)", c.Role)
		}
		draft.SetMember(c)
	}
	roster, err := a.Sign(draft, nil)
	if err != nil {
		return err
	}
	return dir.RosterFile(a.group, a.opts.Now).Save(roster)
}

func (a *Authority) makeMember(dir keystore.Dir, role wire.Role) (*pki.Certificate, error) {
	identity, key, err := NewMemberKeys()
	if err != nil {
		return nil, err
	}
	cert, err := a.IssueMember(role, identity.Public().(ed25519.PublicKey), &key.PublicKey)
	if err != nil {
		return nil, err
	}
	return cert, dir.WriteMember(role, cert.DER, identity, key)
}

func (a *Authority) makeRelay(dir keystore.Dir, draft *Draft, addrs []ma.Multiaddr) error {
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	cert, err := a.IssueRelay(RelayName, identity.Public().(ed25519.PublicKey))
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		for _, text := range LocalRelayAddrs {
			addrs = append(addrs, ma.StringCast(text))
		}
	}
	full, err := WithPeer(addrs, cert.Peer)
	if err != nil {
		return err
	}
	draft.SetRelay(cert, full)
	return dir.WriteRelay(cert.DER, identity)
}

// ErrAddr is returned for a relay node's address that already names a peer.
var ErrAddr = errors.New("the address must not end in /p2p/..., which is added")

// WithPeer returns a relay node's addresses as they stand in a roster, ending in /p2p/<its peer ID>.
func WithPeer(addrs []ma.Multiaddr, id peer.ID) ([]ma.Multiaddr, error) {
	var full []ma.Multiaddr
	for _, addr := range addrs {
		_, named := peer.SplitAddr(addr)
		if named != "" && named != id {
			return nil, fmt.Errorf("%w: %s", ErrAddr, addr)
		}
		if named == "" {
			component, err := ma.NewComponent("p2p", id.String())
			if err != nil {
				return nil, err
			}
			addr = addr.Encapsulate(component.Multiaddr())
		}
		full = append(full, addr)
	}
	return full, nil
}

// NewMemberKeys returns a new identity key and a new RSA-3072 key.
func NewMemberKeys() (ed25519.PrivateKey, *rsa.PrivateKey, error) {
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, pki.MinRSABits)
	if err != nil {
		return nil, nil, err
	}
	return identity, key, nil
}

// Renew returns a draft in which every certificate of the roster is issued anew for the same keys, and so lasts longer.
func (a *Authority) Renew(r *pki.Roster) (*Draft, error) {
	draft := &Draft{}
	for _, m := range r.Members {
		c, err := a.IssueMember(m.Role, m.Identity, m.RSA)
		if err != nil {
			return nil, err
		}
		draft.SetMember(c)
	}
	for _, m := range r.Relays {
		c, err := a.IssueRelay(m.Role, m.Identity)
		if err != nil {
			return nil, err
		}
		draft.SetRelay(c, m.Addrs)
	}
	return draft, nil
}
