package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"conclave/cmd/internal/cli"
	"conclave/pki/pkitest"
)

// stick returns a folder on a real file system without permissions, in a file of its own: FAT, as sticks have it, or, where the
// kernel has none, NTFS. Making one takes the administrator. With CI=true nothing is skipped.
func stick(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "mounting a file system takes root")
	}
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	image, folder := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := os.WriteFile(image, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	why := mounted(folder, []string{"mkfs.vfat", image}, []string{"mount", "-o", "loop", image, folder})
	if why != nil {
		why = errors.Join(why, mounted(folder, []string{"mkntfs", "-F", "-q", image}, []string{"ntfs-3g", image, folder}))
	}
	if why != nil && !holdsNothing(folder) {
		skip(t, "no file system without permissions can be mounted: "+strings.ReplaceAll(why.Error(), "\n", " "))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", folder).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return folder
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI=true allows no skipping", why)
	}
	t.Skip(why)
}

// mounted runs the commands that make and mount a file system.
func mounted(folder string, commands ...[]string) error {
	for _, c := range commands {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return errors.New(c[0] + ": " + strings.TrimSpace(err.Error()+" "+string(out)))
		}
	}
	if !holdsNothing(folder) {
		return errors.New(commands[0][0] + ": the file system has permissions")
	}
	return nil
}

// holdsNothing reports whether a folder is open to others whatever is done about it.
func holdsNothing(folder string) bool {
	_ = os.Chmod(folder, 0o700)
	info, err := os.Stat(folder)
	return err == nil && info.Mode().Perm()&0o077 != 0
}

// TestExportOntoAStick: a home can be carried on a stick, with a warning; what is read from one is refused with advice that
// leads somewhere.
func TestExportOntoAStick(t *testing.T) {
	to := stick(t)
	home := pkitest.NewGroup(t, "A", "B").Home()
	run := func(args ...string) (code int, out, errs string) {
		t.Helper()
		var o, e bytes.Buffer
		code = cli.Run(t.Context(), "ca", newCommand(), args, cli.Stdio{In: strings.NewReader(""), Out: &o, Err: &e})
		return code, o.String(), e.String()
	}
	for _, role := range []string{"A", "B"} { // the second finds the first there
		code, out, errs := run("export", "--role", role, "--to", to, "--home", home)
		if code != 0 || out != "member "+role+" of group test is in "+filepath.Join(to, "test")+"\n" {
			t.Fatalf("%d %q %q", code, out, errs)
		}
		if !strings.Contains(errs, "warning: the file system of "+to+" has no permissions: whoever holds it can read the private keys.\n") {
			t.Errorf("no warning in %q", errs)
		}
	}
	code, _, errs := run("show", "--home", to)
	if code != 1 || !strings.Contains(errs, "hint: the file system there has no permissions: copy the group's folder onto this machine's own disk") {
		t.Errorf("reading from it: %d %q", code, errs)
	}
	carried := t.TempDir()
	if out, err := exec.Command("cp", "-r", filepath.Join(to, "test"), carried).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := exec.Command("chmod", "-R", "go=", filepath.Join(carried, "test")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if code, out, errs := run("show", "--home", carried); code != 0 || !strings.Contains(out, "keys here   member A\nkeys here   member B\n") {
		t.Errorf("from the copy: %d %q %q", code, out, errs)
	}
	if code, _, errs := run("roster", "--out", filepath.Join(to, "roster"), "--home", home); code != 0 {
		t.Errorf("a roster onto it: %d %q", code, errs)
	}
}
