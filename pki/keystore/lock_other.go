//go:build !unix

package keystore

import "os"

// lockFile does nothing here: without a file lock, processes that share a home have to be one.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }

// lockDir does nothing either.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }

// lock does nothing either.
func lock(*os.File) error { return nil }
