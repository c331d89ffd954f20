package keystore_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
)

// openHome writes a group to disk and returns its folder.
func openHome(t *testing.T, g *pkitest.Group) keystore.Dir {
	t.Helper()
	dir, err := keystore.FindGroup(g.Home(), "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir := openHome(t, pkitest.NewGroup(t, "A"))
	files := 0
	err := filepath.WalkDir(dir.Path(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestOpenModesRefused(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	for _, c := range []struct {
		path string
		mode fs.FileMode
		want fs.FileMode
	}{
		{"members/A/identity.pem", 0o640, 0o600},
		{"members/A/rsa.pem", 0o604, 0o600},
		{"members/A", 0o701, 0o700},
		{".", 0o755, 0o700},
	} {
		dir := openHome(t, g)
		path := filepath.Join(dir.Path(), c.path)
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := dir.OpenMember("A")
		var refused *keystore.OpenModeError
		if !errors.As(err, &refused) || refused.Path != path || refused.Mode != c.mode || refused.Want != c.want {
			t.Errorf("%s with mode %04o: %v", c.path, c.mode, err)
			continue
		}
		hint := refused.Hint()
		if out, err := exec.Command("sh", "-c", hint).CombinedOutput(); err != nil {
			t.Errorf("the hint %q does not run: %v %s", hint, err, out)
		}
		if _, err := dir.OpenMember("A"); err != nil {
			t.Errorf("after the hint: %v", err)
		}
	}
}

func TestFindGroup(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	find := func(name string, want error) {
		t.Helper()
		if _, err := keystore.FindGroup(home, name); !errors.Is(err, want) {
			t.Errorf("group %q: got %v, want %v", name, err, want)
		}
	}
	find("", keystore.ErrNoGroup)
	if err := pkitest.New(t, pkitest.Config{Name: "one"}).WriteHome(home); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, ".requests"), 0o700); err != nil {
		t.Fatal(err)
	}
	find("", nil)
	find("one", nil)
	find("two", keystore.ErrNoGroup)
	find("../home/one", keystore.ErrNoGroup)
	if err := pkitest.New(t, pkitest.Config{Name: "two"}).WriteHome(home); err != nil {
		t.Fatal(err)
	}
	find("", keystore.ErrSeveralGroups)
	find("two", nil)
	if err := pkitest.New(t, pkitest.Config{Name: "two"}).WriteHome(home); !errors.Is(err, keystore.ErrGroupExists) {
		t.Errorf("a second group of one name: %v", err)
	}
}

func TestOpenIdentities(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	dir := openHome(t, g)
	roles, err := dir.Roles()
	if err != nil || len(roles) != 2 || roles[0] != "A" || !dir.HasRelay() || !dir.HasAuthority() {
		t.Errorf("roles %v, relay %v, CA %v, %v", roles, dir.HasRelay(), dir.HasAuthority(), err)
	}
	a, err := dir.OpenMember("A")
	if err != nil || !a.RSA.Equal(g.Member("A").RSA) || !a.Identity.Equal(g.Member("A").Identity) {
		t.Errorf("A is another one: %v", err)
	}
	if _, err := dir.OpenMember("C"); !errors.Is(err, keystore.ErrNoIdentity) {
		t.Errorf("C: %v", err)
	}
	copyFile(t, dir, "members/B/rsa.pem", "members/A/rsa.pem")
	if _, err := dir.OpenMember("A"); !errors.Is(err, keystore.ErrKeyMismatch) {
		t.Errorf("A with B's RSA key: %v", err)
	}
	copyFile(t, dir, "members/B/identity.pem", "relay/identity.pem")
	if _, err := dir.OpenRelay(); !errors.Is(err, keystore.ErrKeyMismatch) {
		t.Errorf("the relay node with B's identity: %v", err)
	}
	copyFile(t, dir, "relay/cert.pem", "members/B/cert.pem")
	if _, err := dir.OpenMember("B"); !errors.Is(err, keystore.ErrKeyMismatch) {
		t.Errorf("B with the relay node's certificate: %v", err)
	}
}

func copyFile(t *testing.T, dir keystore.Dir, from, to string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir.Path(), from))
	if err == nil {
		err = keystore.WriteFile(filepath.Join(dir.Path(), to), data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestErrorsHoldNoKeys breaks key files in many ways: what is left of the key is in no error.
func TestErrorsHoldNoKeys(t *testing.T) {
	t.Parallel()
	dir := openHome(t, pkitest.NewGroup(t, "A"))
	path := filepath.Join(dir.Path(), "members/A/identity.pem")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(string(whole), "\n")[1]
	for _, broken := range []string{"", secret, strings.Replace(string(whole), "PRIVATE", "PUBLIC", 2), strings.Replace(string(whole), secret, secret[4:], 1), string(whole) + string(whole)} {
		if err := keystore.WriteFile(path, []byte(broken)); err != nil {
			t.Fatal(err)
		}
		_, err := dir.OpenMember("A")
		if err == nil || strings.Contains(err.Error(), secret[8:24]) {
			t.Errorf("with %d bytes: %v", len(broken), err)
		}
	}
}

func TestRosterFile(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A", "B")
	first := g.Roster
	rival, err := g.Authority.SignVersion(&authority.Draft{Members: []*pki.Certificate{g.Member("A").Cert}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	second := g.Reissue(nil)
	path := filepath.Join(t.TempDir(), "roster.bin")
	if _, err := keystore.NewRosterFile(path, g.Group, nil).Load(); !errors.Is(err, keystore.ErrNoRoster) {
		t.Errorf("before the first: %v", err)
	}
	for _, c := range []struct {
		what string
		r    *pki.Roster
		want error
		then uint64
	}{
		{"the first", first, nil, 1},
		{"the first again", first, nil, 1},
		{"a newer one", second, nil, 2},
		{"the older one", first, pki.ErrRosterOlder, 2},
		{"a rival", rival, pki.ErrRosterConflict, 2},
		{"another group's", pkitest.NewGroup(t, "A").Roster, pki.ErrRosterGroup, 2},
	} {
		file := keystore.NewRosterFile(path, g.Group, nil) // a new one each time: as after a restart
		if err := file.Save(c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
		if now, err := file.Load(); err != nil || now.Version != c.then {
			t.Errorf("after %s: %v %v", c.what, now, err)
		}
	}
	if now, err := keystore.NewRosterFile(path, g.Group, nil).Load(); err != nil || now.Hash != second.Hash {
		t.Errorf("in the end: %v", err)
	}
}

// TestRosterFileBroken: a broken file is not taken for a missing one, which would let an older version in.
func TestRosterFileBroken(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	path := filepath.Join(t.TempDir(), "roster.bin")
	if err := keystore.WriteFile(path, []byte("broken")); err != nil {
		t.Fatal(err)
	}
	file := keystore.NewRosterFile(path, g.Group, nil)
	if err := file.Save(g.Roster); !errors.Is(err, pki.ErrRoster) {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "broken" {
		t.Error("the broken file was replaced")
	}
}

// TestRosterFileConcurrent saves many versions from many goroutines, each with a handle of its own as separate processes
// would have; whatever the order, the newest stays.
func TestRosterFileConcurrent(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	rosters := []*pki.Roster{g.Roster}
	for range 15 {
		rosters = append(rosters, g.Reissue(nil))
	}
	path := filepath.Join(t.TempDir(), "roster.bin")
	var wg sync.WaitGroup
	for _, r := range rosters {
		wg.Go(func() {
			if err := keystore.NewRosterFile(path, g.Group, nil).Save(r); err != nil && !errors.Is(err, pki.ErrRosterOlder) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if now, err := keystore.NewRosterFile(path, g.Group, nil).Load(); err != nil || now.Version != 16 {
		t.Errorf("in the end: %v %v", now, err)
	}
}

// TestRenewalNeedsOnlyTheRoster: a member that got no more than the new roster uses its new certificate.
func TestRenewalNeedsOnlyTheRoster(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	dir := openHome(t, g)
	later, err := authority.Open(dir, authority.Options{Now: func() time.Time { return pkitest.Start.AddDate(1, 0, 0) }, Life: pkitest.Life})
	if err != nil {
		t.Fatal(err)
	}
	draft, err := later.Renew(g.Roster)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := later.Sign(draft, g.Roster)
	if err != nil {
		t.Fatal(err)
	}
	before, err := dir.OpenMember("A")
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.RosterFile(g.Group, nil).Save(renewed); err != nil {
		t.Fatal(err)
	}
	after, err := dir.OpenMember("A")
	if err != nil {
		t.Fatal(err)
	}
	if !after.Cert.NotAfter.After(before.Cert.NotAfter) {
		t.Errorf("the certificate still ends on %s", after.Cert.NotAfter)
	}
}

func TestWriteFileIsAtomic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "file")
	for _, text := range []string{"one", "two"} {
		if err := keystore.WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != text {
			t.Errorf("%q %v", data, err)
		}
	}
	// A folder in the file's place makes the rename fail: the error names the file and nothing is left behind.
	if err := os.MkdirAll(filepath.Join(dir, "taken", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := keystore.WriteFile(filepath.Join(dir, "taken"), nil); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("over a folder: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	home := g.Home()
	dir, err := keystore.FindGroup(home, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keystore.OpenPending(home, pki.KindMember, "B"); !errors.Is(err, keystore.ErrNoRequest) {
		t.Errorf("without a request: %v", err)
	}
	stranger := g.AddMember("B")
	if err := dir.Accept(home, stranger.Cert); !errors.Is(err, keystore.ErrNoRequest) {
		t.Errorf("a certificate without keys: %v", err)
	}
	identity := pkitest.NewIdentity(t)
	if _, err := keystore.WritePending(home, "B", identity, pkitest.RSAKey(t, 5)); err != nil {
		t.Fatal(err)
	}
	if err := dir.Accept(home, stranger.Cert); !errors.Is(err, keystore.ErrNoRequest) {
		t.Errorf("a certificate for other keys: %v", err)
	}
	p, err := keystore.OpenPending(home, pki.KindMember, "B")
	if err != nil {
		t.Fatal(err)
	}
	der, err := p.Request(pki.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := keystore.ReadRequest(strings.NewReader(string(keystore.EncodeRequest(der))))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := g.Authority.Answer(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Accept(home, cert); err != nil {
		t.Fatal(err)
	}
	if m, err := dir.OpenMember(wire.Role("B")); err != nil || !m.Identity.Equal(identity) {
		t.Errorf("B: %v", err)
	}
	if _, err := keystore.OpenPending(home, pki.KindMember, "B"); !errors.Is(err, keystore.ErrNoRequest) {
		t.Errorf("the request is still there: %v", err)
	}
}
