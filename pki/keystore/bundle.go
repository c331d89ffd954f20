package keystore

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"conclave/pki"
)

// ErrBundle is returned for a file that is neither a bundle nor a roster.
var ErrBundle = errors.New("neither what `ca sign` prints nor a roster")

// Bundle is what the authority hands to a member or relay node: the group's CA certificate, the new certificate and the
// roster, as PEM blocks in one file. Any part may be missing. Nothing in it is secret, and nothing of it is verified.
type Bundle struct {
	CA     []byte // DER
	Cert   []byte // DER
	Roster []byte // envelope
}

// Encode returns the bundle as PEM.
func (b *Bundle) Encode() []byte {
	var out []byte
	add := func(kind string, data []byte) {
		if data != nil {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})...)
		}
	}
	add(PEMCertificate, b.CA)
	add(PEMCertificate, b.Cert)
	add(PEMRoster, b.Roster)
	return out
}

// ReadBundle reads a bundle, or the bytes of a roster alone, which is a bundle without certificates.
func ReadBundle(r io.Reader) (*Bundle, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrBundle, maxFile)
	}
	data = plain(data)
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		return &Bundle{Roster: data}, nil
	}
	b := &Bundle{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		target := &b.Roster
		if block.Type == PEMCertificate {
			target = &b.Cert
			if _, err := pki.ParseGroup(block.Bytes); err == nil {
				target = &b.CA
			}
		} else if block.Type != PEMRoster {
			return nil, fmt.Errorf("%w: it holds a %s", ErrBundle, block.Type)
		}
		if *target != nil {
			return nil, fmt.Errorf("%w: it holds two of a kind", ErrBundle)
		}
		*target = block.Bytes
	}
	if b.Roster == nil && b.Cert == nil {
		return nil, ErrBundle
	}
	return b, nil
}

// ReadRequest reads a certificate request in PEM and verifies it.
func ReadRequest(r io.Reader) (*pki.Request, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(plain(data))
	if block == nil || block.Type != PEMRequest {
		return nil, fmt.Errorf("%w: no PEM block %s", pki.ErrRequest, PEMRequest)
	}
	return pki.ParseRequest(block.Bytes)
}

// EncodeRequest returns a request (DER) as PEM.
func EncodeRequest(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: PEMRequest, Bytes: der})
}
