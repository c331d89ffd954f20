package house

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// programs are the commands below cmd, each with who runs it. go build -o bin/ ./cmd/... makes all of them.
var programs = map[string]string{
	"cmd/ca":               "a group's keeper",
	"cmd/conclave":         "whoever installed a package: all commands in one",
	"cmd/demo":             "a newcomer",
	"cmd/node":             "a member",
	"cmd/relay":            "whoever runs a relay node",
	"cmd/internal/mutants": "whoever changes the source",
	"cmd/internal/pack":    "whoever makes packages",
}

// TestOnlyCommandsAreBuilt: who builds what is below cmd gets commands, and nothing that exists to be measured or tested.
func TestOnlyCommandsAreBuilt(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	var built []string
	for _, p := range all {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if p.Name != "main" || !p.in("cmd") {
			continue
		}
		built = append(built, path.Base(name))
		if programs[name] == "" {
			t.Errorf("%s is a program below cmd: nobody is known who runs it", name)
		}
	}
	for _, name := range []string{"ca", "demo", "node", "relay"} {
		if !slices.Contains(built, name) {
			t.Errorf("%s is not built", name)
		}
	}
}
