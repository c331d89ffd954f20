package pkitest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/keystore"
)

// Start is when the validity of a group begins by default, and Life how long it lasts.
var (
	Start = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	Life  = 100 * 365 * 24 * time.Hour
)

// Config describes a group. The zero value of each field is a good default.
type Config struct {
	Name   string           // default "test"
	Roles  []wire.Role      // default A, B, C
	Relays int              // default 1; -1 for none
	Now    func() time.Time // the authority's clock; default: always Start
	Life   time.Duration    // of certificates and roster; default Life
	Addrs  []string         // multiaddrs of every relay node, without /p2p; default TCP and QUIC on loopback, port 4001
}

// Group is a group for tests. Static but for Roster, which Reissue replaces.
type Group struct {
	Group     *pki.Group
	Authority *authority.Authority
	Roster    *pki.Roster // the newest

	t       testing.TB
	members map[wire.Role]*keystore.Member
	relays  []*keystore.Relay
	addrs   []string
}

// NewGroup returns a group with those members and one relay node.
func NewGroup(t testing.TB, roles ...string) *Group {
	t.Helper()
	var cfg Config
	for _, r := range roles {
		cfg.Roles = append(cfg.Roles, wire.Role(r))
	}
	return New(t, cfg)
}

// Fast returns a group with n members named m000, m001 and so on, which share RSA keys, and one relay node.
func Fast(t testing.TB, n int) *Group {
	t.Helper()
	var cfg Config
	for i := range n {
		cfg.Roles = append(cfg.Roles, wire.Role(fmt.Sprintf("m%03d", i)))
	}
	return New(t, cfg)
}

// New returns the group that cfg describes.
func New(t testing.TB, cfg Config) *Group {
	t.Helper()
	cfg = cfg.withDefaults()
	a, err := authority.Create(cfg.Name, authority.Options{Now: cfg.Now, Life: cfg.Life, CALife: cfg.Life + Life})
	if err != nil {
		t.Fatalf("pkitest: %v", err)
	}
	g := &Group{Group: a.Group(), Authority: a, t: t, members: make(map[wire.Role]*keystore.Member), addrs: cfg.Addrs}
	draft := &authority.Draft{}
	for _, role := range cfg.Roles {
		draft.SetMember(g.AddMember(role).Cert)
	}
	for i := range cfg.Relays {
		relay := g.addRelay(i)
		draft.SetRelay(relay.Cert, g.RelayAddrs(i))
	}
	if g.Roster, err = a.Sign(draft, nil); err != nil {
		t.Fatalf("pkitest: %v", err)
	}
	return g
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "test"
	}
	if c.Roles == nil {
		c.Roles = []wire.Role{"A", "B", "C"}
	}
	switch c.Relays {
	case 0:
		c.Relays = 1
	case -1:
		c.Relays = 0
	}
	if c.Now == nil {
		c.Now = func() time.Time { return Start }
	}
	if c.Life == 0 {
		c.Life = Life
	}
	if c.Addrs == nil {
		c.Addrs = []string{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1"}
	}
	return c
}

// Member returns a member's identity. Its Dir is a temporary folder of its own.
func (g *Group) Member(role string) *keystore.Member {
	g.t.Helper()
	m := g.members[wire.Role(role)]
	if m == nil {
		g.t.Fatalf("pkitest: no member %q", role)
	}
	return m
}

// Relay returns the identity of the i-th relay node. Its Dir is a temporary folder of its own.
func (g *Group) Relay(i int) *keystore.Relay {
	g.t.Helper()
	if i >= len(g.relays) {
		g.t.Fatalf("pkitest: no relay node %d", i)
	}
	return g.relays[i]
}

// RelayAddrs returns the addresses of the i-th relay node as they stand in the first roster.
func (g *Group) RelayAddrs(i int) []ma.Multiaddr {
	g.t.Helper()
	var addrs []ma.Multiaddr
	for _, text := range g.addrs {
		addr, err := ma.NewMultiaddr(text + "/p2p/" + g.Relay(i).Cert.Peer.String())
		if err != nil {
			g.t.Fatalf("pkitest: %v", err)
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

// AddMember makes an identity and a certificate for a new member. It enters no roster: that is Reissue's.
func (g *Group) AddMember(role wire.Role) *keystore.Member {
	g.t.Helper()
	identity := NewIdentity(g.t)
	key := RSAKey(g.t, len(g.members))
	cert, err := g.Authority.IssueMember(role, identity.Public().(ed25519.PublicKey), &key.PublicKey)
	if err != nil {
		g.t.Fatalf("pkitest: %v", err)
	}
	m := &keystore.Member{Papers: keystore.Papers{Group: g.Group, Cert: cert, Identity: identity, Dir: g.t.TempDir()}, RSA: key}
	g.members[role] = m
	return m
}

func (g *Group) addRelay(i int) *keystore.Relay {
	g.t.Helper()
	identity := NewIdentity(g.t)
	name := wire.Role("relay")
	if i > 0 {
		name = wire.Role(fmt.Sprintf("relay%d", i+1))
	}
	cert, err := g.Authority.IssueRelay(name, identity.Public().(ed25519.PublicKey))
	if err != nil {
		g.t.Fatalf("pkitest: %v", err)
	}
	r := &keystore.Relay{Papers: keystore.Papers{Group: g.Group, Cert: cert, Identity: identity, Dir: g.t.TempDir()}}
	g.relays = append(g.relays, r)
	return r
}

// Reissue changes the newest roster, signs it as the next version and returns it. A nil change signs it anew.
func (g *Group) Reissue(change func(*authority.Draft)) *pki.Roster {
	g.t.Helper()
	draft := authority.DraftOf(g.Roster)
	if change != nil {
		change(draft)
	}
	r, err := g.Authority.Sign(draft, g.Roster)
	if err != nil {
		g.t.Fatalf("pkitest: %v", err)
	}
	g.Roster = r
	return r
}

// Home writes the group, with the CA key, all identities and the newest roster, into a new home and returns its path.
func (g *Group) Home() string {
	g.t.Helper()
	home := filepath.Join(g.t.TempDir(), "home")
	if err := g.WriteHome(home); err != nil {
		g.t.Fatalf("pkitest: %v", err)
	}
	return home
}

// WriteHome is Home at a given path.
func (g *Group) WriteHome(home string) error {
	dir, err := keystore.CreateGroup(home, g.Group)
	if err != nil {
		return err
	}
	if err := g.Authority.Save(dir); err != nil {
		return err
	}
	for role, m := range g.members {
		if err := dir.WriteMember(role, m.Cert.DER, m.Identity, m.RSA); err != nil {
			return err
		}
	}
	if len(g.relays) > 0 {
		if err := dir.WriteRelay(g.relays[0].Cert.DER, g.relays[0].Identity); err != nil {
			return err
		}
	}
	return dir.RosterFile(g.Group, func() time.Time { return g.Roster.Issued }).Save(g.Roster)
}

// NewIdentity returns a random Ed25519 key.
func NewIdentity(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("pkitest: %v", err)
	}
	return key
}

//go:embed testdata/rsa.pem
var rsaPEM []byte

// blocks splits the key file once; each key is parsed when it is first asked for, because parsing checks its primes.
var blocks = sync.OnceValue(func() []func() (*rsa.PrivateKey, error) {
	var keys []func() (*rsa.PrivateKey, error)
	for rest := rsaPEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return keys
		}
		keys = append(keys, sync.OnceValues(func() (*rsa.PrivateKey, error) {
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			return key.(*rsa.PrivateKey), nil
		}))
	}
})

// RSAKey returns one of the sixteen RSA-3072 keys in testdata: the i-th, counted round.
func RSAKey(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	keys := blocks()
	key, err := keys[i%len(keys)]()
	if err != nil {
		t.Fatalf("pkitest: %v", err)
	}
	return key
}
