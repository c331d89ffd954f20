package keystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/adrg/xdg"

	"conclave/overlay/wire"
	"conclave/pki"
)

var (
	// ErrNoGroup is returned when a home has no group, or not the one asked for.
	ErrNoGroup = errors.New("no such group")
	// ErrSeveralGroups is returned when a home has several groups and none was named.
	ErrSeveralGroups = errors.New("several groups, and none was chosen")
	// ErrGroupExists is returned when a group's folder is there already.
	ErrGroupExists = errors.New("the group exists already")
	// ErrNoIdentity is returned when the group's folder has no such member or no relay node.
	ErrNoIdentity = errors.New("no such identity here")
	// ErrKeyMismatch is returned when a private key does not belong to the certificate beside it.
	ErrKeyMismatch = errors.New("the private key does not belong to the certificate")
)

// DefaultHome returns $CONCLAVE_HOME, else the folder conclave in the platform's data directory.
func DefaultHome() string {
	if home := os.Getenv("CONCLAVE_HOME"); home != "" {
		return home
	}
	return filepath.Join(xdg.DataHome, "conclave")
}

// Dir is a group's folder in a home.
type Dir struct{ path string }

// Path returns the folder's path.
func (d Dir) Path() string { return d.path }

// Paths inside a group's folder.
func (d Dir) caFile() string     { return filepath.Join(d.path, "ca.pem") }
func (d Dir) rosterFile() string { return filepath.Join(d.path, "roster.bin") }
func (d Dir) relayDir() string   { return filepath.Join(d.path, "relay") }
func (d Dir) membersDir() string { return filepath.Join(d.path, "members") }

// AuthorityFile returns where the CA key is, on the authority's machine. Only pki/authority reads it.
func (d Dir) AuthorityFile() string { return filepath.Join(d.path, "authority", "ca-key.pem") }

func (d Dir) memberDir(role wire.Role) string { return filepath.Join(d.membersDir(), string(role)) }

// Groups returns the names of a home's groups, sorted. A home that does not exist has none.
func Groups(home string) ([]string, error) {
	entries, err := os.ReadDir(home)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the home: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, err := wire.ParseRole(e.Name()); err != nil {
			continue
		}
		if _, err := os.Stat(Dir{filepath.Join(home, e.Name())}.caFile()); err == nil {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// FindGroup returns the folder of the group with that name, or of the home's only group if the name is empty; else
// ErrNoGroup or ErrSeveralGroups.
func FindGroup(home, name string) (Dir, error) {
	names, err := Groups(home)
	if err != nil {
		return Dir{}, err
	}
	switch {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "" && len(names) > 1:
		return Dir{}, fmt.Errorf("%w: %s has %s", ErrSeveralGroups, home, strings.Join(names, ", "))
	case name == "":
		return Dir{}, fmt.Errorf("%w: %s has none", ErrNoGroup, home)
	}
	for _, n := range names {
		if n == name {
			return Dir{filepath.Join(home, n)}, nil
		}
	}
	return Dir{}, fmt.Errorf("%w: %q in %s", ErrNoGroup, name, home)
}

// Workshop returns an empty folder in a home, made if need be, to put a group together in before it gets its name. It has
// it alone until done is called, which removes the folder. What somebody left there who was killed is gone.
func Workshop(home string) (dir string, done func(), err error) {
	if err := MakeDir(home); err != nil {
		return "", nil, err
	}
	unlock, err := lockDir(context.Background(), home, nil)
	if err != nil {
		return "", nil, fmt.Errorf("locking the home: %w", err)
	}
	dir = filepath.Join(home, ".new")
	err = os.RemoveAll(dir)
	if err == nil {
		err = MakeDir(dir)
	}
	if err != nil {
		unlock()
		return "", nil, fmt.Errorf("making a folder for a new group: %w", err)
	}
	return dir, func() { os.RemoveAll(dir); unlock() }, nil
}

// CreateGroup makes the folder of a group in a home and writes its CA certificate. It returns ErrGroupExists if a group
// of that name is there, whichever it is.
func CreateGroup(home string, g *pki.Group) (Dir, error) {
	d := Dir{filepath.Join(home, g.Name)}
	if err := MakeDir(d.path); err != nil {
		return Dir{}, err
	}
	if err := CheckMode(d.path); err != nil {
		return Dir{}, err
	}
	if _, err := os.Stat(d.caFile()); err == nil {
		return Dir{}, fmt.Errorf("%w: %q in %s", ErrGroupExists, g.Name, home)
	}
	return d, WriteCertificate(d.caFile(), g.CA.Raw)
}

// Group reads the group's CA certificate.
func (d Dir) Group() (*pki.Group, error) {
	if err := CheckMode(d.path); err != nil {
		return nil, err
	}
	der, err := readPEM(d.caFile(), PEMCertificate)
	if err != nil {
		return nil, err
	}
	g, err := pki.ParseGroup(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.caFile(), err)
	}
	return g, nil
}

// Roles returns the roles of the members whose keys are here, sorted.
func (d Dir) Roles() ([]wire.Role, error) {
	entries, err := os.ReadDir(d.membersDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var roles []wire.Role
	for _, e := range entries {
		role, err := wire.ParseRole(e.Name())
		if _, statErr := os.Stat(filepath.Join(d.membersDir(), e.Name(), certFile)); err == nil && statErr == nil {
			roles = append(roles, role)
		}
	}
	return roles, nil
}

// HasRelay reports whether a relay node's keys are here.
func (d Dir) HasRelay() bool {
	_, err := os.Stat(filepath.Join(d.relayDir(), certFile))
	return err == nil
}

// HasAuthority reports whether the CA key is here.
func (d Dir) HasAuthority() bool {
	_, err := os.Stat(d.AuthorityFile())
	return err == nil
}
