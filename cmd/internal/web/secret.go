package web

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"conclave/pki/keystore"
)

// LoadSecret reads a window's secret (Config.Secret) from a file, and makes the file when there is none. Only the owner
// may read it.
func LoadSecret(path string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret = randomBytes()
		if err := keystore.WriteFile(path, secret); err != nil {
			return nil, fmt.Errorf("keeping the window's secret: %w", err)
		}
		return secret, nil
	}
	if err == nil {
		err = keystore.CheckMode(path)
	}
	if err == nil && len(secret) != sha256.Size {
		err = fmt.Errorf("%s has %d bytes, not %d", path, len(secret), sha256.Size)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the window's secret: %w", err)
	}
	return secret, nil
}
