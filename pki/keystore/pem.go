package keystore

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"conclave/pki"
)

// The types of PEM blocks that we write.
const (
	PEMCertificate = "CERTIFICATE"
	PEMKey         = "PRIVATE KEY" // PKCS #8
	PEMRequest     = "CERTIFICATE REQUEST"
	PEMRoster      = "CONCLAVE ROSTER"
)

// maxFile is the largest key or certificate file that is read: room for one roster.
const maxFile = 4 << 20

// readFile reads a whole file of bounded size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// readPEM reads a file that is exactly one PEM block of the given type.
func readPEM(path, kind string) ([]byte, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s is not a PEM file with a %s", path, kind)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, fmt.Errorf("%s holds more than one %s", path, kind)
	}
	return block.Bytes, nil
}

// WriteCertificate writes a certificate (DER) as PEM.
func WriteCertificate(path string, der []byte) error {
	return WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: PEMCertificate, Bytes: der}))
}

// WriteKey writes a private key as PKCS #8 in PEM.
func WriteKey(path string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: PEMKey, Bytes: der}))
}

// readKey reads a private key, from a file and a folder that are the owner's alone.
func readKey(path string) (any, error) {
	if err := CheckMode(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := CheckMode(path); err != nil {
		return nil, err
	}
	der, err := readPEM(path, PEMKey)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s is not a private key", path) // the cause may quote the file
	}
	return key, nil
}

// ReadIdentity reads an Ed25519 private key (64 bytes: seed and public key).
func ReadIdentity(path string) (ed25519.PrivateKey, error) {
	key, err := readKey(path)
	if err != nil {
		return nil, err
	}
	identity, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", path)
	}
	return identity, nil
}

// ReadRSA reads an RSA private key of a size that a member may have.
func ReadRSA(path string) (*rsa.PrivateKey, error) {
	key, err := readKey(path)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an RSA key", path)
	}
	if err := pki.CheckRSA(&private.PublicKey); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return private, nil
}
