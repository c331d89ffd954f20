package pki_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/pki"
)

// classes are the expect classes of the vectors in testdata/vectors. SPEC.md section 2.6 lists them for others.
var classes = map[string]error{
	"ok":                nil,
	"too-large":         pki.ErrTooLarge,
	"malformed":         pki.ErrMalformed,
	"chain-too-long":    pki.ErrChainTooLong,
	"other-group":       pki.ErrOtherGroup,
	"wrong-ca":          pki.ErrWrongCA,
	"not-yet-valid":     pki.ErrNotYetValid,
	"expired":           pki.ErrExpired,
	"unknown-critical":  pki.ErrUnknownCritical,
	"unknown-extension": pki.ErrUnknownExtension,
	"is-ca":             pki.ErrIsCA,
	"ext-key-usage":     pki.ErrExtKeyUsage,
	"key-usage":         pki.ErrKeyUsage,
	"key-type":          pki.ErrKeyType,
	"rsa-size":          pki.ErrRSASize,
	"rsa-exponent":      pki.ErrRSAExponent,
	"san-count":         pki.ErrSANCount,
	"san-form":          pki.ErrSANForm,
	"san-group":         pki.ErrSANGroup,
	"role":              pki.ErrRole,
	"profile":           pki.ErrProfile,
	"other-peer":        pki.ErrOtherPeer,
	"not-in-roster":     pki.ErrNotInRoster,
}

// vector is one file: headers, an empty line, and the presented certificate as PEM. Block type DATA is bytes that are not
// meant to be a certificate.
type vector struct {
	comment, expect string
	now             time.Time
	peer            peer.ID
	presented       []byte
}

func readVector(t *testing.T, path string) vector {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s: no empty line", path)
	}
	var v vector
	for line := range strings.Lines(string(head)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "comment":
			v.comment = value
		case "expect":
			v.expect = value
		case "now":
			v.now, err = time.Parse(time.RFC3339, value)
		case "peer":
			v.peer, err = peer.Decode(value)
		default:
			t.Fatalf("%s: unknown header %q", path, key)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	block, _ := pem.Decode(body)
	if block == nil {
		t.Fatalf("%s: no PEM block", path)
	}
	v.presented = block.Bytes
	return v
}

// vectorGroup reads the group and roster that all vectors share.
func vectorGroup(t *testing.T) (*pki.Group, *pki.Roster) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil {
			t.Fatalf("%s is not PEM", name)
		}
		return block.Bytes
	}
	g, err := pki.ParseGroup(read("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := pki.OpenRoster(g, read("roster.pem"), vectorNow)
	if err != nil {
		t.Fatal(err)
	}
	return g, r
}

func TestVectors(t *testing.T) {
	t.Parallel()
	g, roster := vectorGroup(t)
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) < len(classes) {
		t.Fatalf("%d vectors, want at least one for each of %d classes (%v)", len(files), len(classes), err)
	}
	hit := make(map[string]int)
	for _, path := range files {
		v := readVector(t, path)
		want, known := classes[v.expect]
		if !known {
			t.Errorf("%s: unknown class %q", path, v.expect)
		}
		hit[v.expect]++
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			_, err := roster.Verify(g, v.presented, v.peer, v.now)
			checkClass(t, err, want)
		})
	}
	for class := range classes {
		if hit[class] == 0 {
			t.Errorf("no vector for class %q", class)
		}
	}
}

// checkClass checks that err is want, and none of the other refusals.
func checkClass(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for class, other := range classes {
		if other != nil && other != want && errors.Is(err, other) {
			t.Errorf("the refusal %v is also of class %s", err, class)
		}
	}
}

// TestVectorsAgainstStandardLibrary is the control: x509.Verify alone lets many of the vectors through, so that the
// checks by hand are needed.
func TestVectorsAgainstStandardLibrary(t *testing.T) {
	t.Parallel()
	g, _ := vectorGroup(t)
	for _, name := range []string{"eku-server-auth", "key-usage-none", "san-two-uris", "ca-true", "rsa-2048", "rsa-exponent-3", "san-upper-case-scheme"} {
		v := readVector(t, filepath.Join("testdata", "vectors", name+".txt"))
		if err := standardVerify(g, v.presented, v.now); err != nil {
			t.Errorf("%s: x509.Verify refuses it too: %v", name, err)
		}
	}
}
