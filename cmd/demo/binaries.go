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
)

// commands are the binaries that the demo starts.
var commands = []string{"ca", "relay", "node"}

// errNoBinaries is returned when there are neither binaries nor a source to build them from.
var errNoBinaries = errors.New("the binaries ca, relay and node are not beside this one, and this folder is not Conclave's source")

// binaries returns the folder that holds the commands: the demo's own if they are all there, else dir after building
// them into it from the module that the working directory is in.
func binaries(ctx context.Context, s *spawner, dir string, say func(string)) (string, error) {
	if own, err := os.Executable(); err == nil && allIn(filepath.Dir(own)) {
		return filepath.Dir(own), nil
	}
	list := exec.CommandContext(ctx, "go", "list", "-m")
	if out, err := list.Output(); err != nil || strings.TrimSpace(string(out)) != "conclave" {
		return "", errNoBinaries
	}
	say("building relay, node and ca (the first time takes a minute or two)")
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	for _, name := range commands {
		args = append(args, "conclave/cmd/"+name)
	}
	return dir, runProgram(ctx, s, "building the binaries", "go", args...)
}

func allIn(dir string) bool {
	for _, name := range commands {
		if info, err := os.Stat(binary(dir, name)); err != nil || !info.Mode().IsRegular() {
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
