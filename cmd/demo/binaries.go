package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"conclave/cmd/internal/cli"
)

// commands are the binaries that the demo starts.
var commands = []string{"ca", "relay", "node"}

// errNoBinaries is returned when there are neither binaries nor a source to build them from.
var errNoBinaries = errors.New("the binaries ca, relay and node are not beside this one, and this folder is not Conclave's source")

// binaries returns where the commands are: beside the demo, and named as it is, if they are all there, else in dir after
// building them into it from the module that the working directory is in. say is told before that begins.
func binaries(ctx context.Context, s *spawner, dir string, say func(string)) (path func(name string) string, err error) {
	if own, err := os.Executable(); err == nil && allBeside(own) {
		return func(name string) string { return cli.Beside(own, "demo", name) }, nil
	}
	list := exec.CommandContext(ctx, "go", "list", "-m")
	if out, err := list.Output(); err != nil || strings.TrimSpace(string(out)) != "conclave" {
		return nil, errNoBinaries
	}
	say("building relay, node and ca, without a word until that is done; the first time it takes a minute or two")
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	for _, name := range commands {
		args = append(args, "conclave/cmd/"+name)
	}
	return func(name string) string { return binary(dir, name) }, runProgram(ctx, s, "building the binaries", "go", args...)
}

// allBeside reports whether all commands are beside the demo that runs.
func allBeside(own string) bool {
	for _, name := range commands {
		if info, err := os.Stat(cli.Beside(own, "demo", name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// binary returns the path of a command in a folder.
func binary(dir, name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(dir, name)
}

// runProgram runs a program to its end, with no input; what it printed becomes the error when it fails.
func runProgram(ctx context.Context, s *spawner, doing, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := s.start(cmd); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w: %s", doing, err, strings.Join(strings.Fields(output.String()), " "))
		}
		return nil
	case <-ctx.Done():
		kill(cmd)
		<-ended
		return ctx.Err()
	}
}
