package baseline

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
)

// RSARound does the RSA operations of one all-to-all share round and nothing else: for every ordered pair of different
// members one RSA-OAEP-SHA256 encryption of size bytes under a label, and its decryption. The pairs are done one after
// the other on the caller's goroutine, as the key agreement's own benchmark does them.
func RSARound(keys []*rsa.PrivateKey, size int, label []byte) error {
	secret := make([]byte, size)
	for from := range keys {
		if _, err := rand.Read(secret); err != nil {
			return fmt.Errorf("drawing a secret: %w", err)
		}
		for to, key := range keys {
			if to == from {
				continue
			}
			sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, secret, label)
			if err != nil {
				return fmt.Errorf("wrapping: %w", err)
			}
			opened, err := rsa.DecryptOAEP(sha256.New(), nil, key, sealed, label)
			if err != nil {
				return fmt.Errorf("unwrapping: %w", err)
			}
			if string(opened) != string(secret) {
				return errors.New("unwrapped something else")
			}
		}
	}
	return nil
}
