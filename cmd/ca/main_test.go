package main

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"conclave/cmd/internal/cli"
	"conclave/pki/pkitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ca": func() {
			os.Exit(cli.Run(context.Background(), "ca", newCommand(), os.Args[1:], cli.OS()))
		},
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CONCLAVE_HOME", env.WorkDir+"/home")
			env.Setenv("XDG_DATA_HOME", env.WorkDir+"/data")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"mode": checkMode},
	})
}

func TestOpenSSLScript(t *testing.T) {
	t.Parallel()
	pkitest.Tool(t, "openssl")
	testscript.Run(t, testscript.Params{
		Files: []string{"testdata/openssl/openssl.txtar"},
		Setup: func(env *testscript.Env) error {
			env.Setenv("CONCLAVE_HOME", env.WorkDir+"/home")
			return nil
		},
	})
}

// checkMode is the script command "mode 0600 FILE...".
func checkMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode OCTAL FILE...")
	}
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := "0" + octal(info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}

func octal(m os.FileMode) string {
	digits := []byte{'0' + byte(m>>6&7), '0' + byte(m>>3&7), '0' + byte(m&7)}
	return string(digits)
}
