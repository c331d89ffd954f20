//go:build !unix

package keystore

import "os"

// lock does nothing here, where a file that is open cannot be renamed: two writers of one file would fail, not mix. What
// must not happen twice at once is behind lockFile, which works everywhere.
func lock(*os.File) error { return nil }
