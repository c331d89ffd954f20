//go:build !linux

package main

import "os/exec"

// detach does nothing here: there is no portable way to tie a process to the life of another. The members end at the
// end of their input, which this process's death brings about.
func detach(*exec.Cmd) {}

// kill ends cmd.
func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
