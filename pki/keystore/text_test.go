package keystore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
)

// asUTF16 is a text as PowerShell redirects it, with lines that end in CR LF.
func asUTF16(text string, order binary.ByteOrder) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + strings.ReplaceAll(text, "\n", "\r\n"))) {
		out = append(out, 0, 0)
		order.PutUint16(out[len(out)-2:], u)
	}
	return out
}

// TestOtherEncodings: requests and bundles are read as editors and shells of other systems write them.
func TestOtherEncodings(t *testing.T) {
	t.Parallel()
	g := pkitest.NewGroup(t, "A")
	der, err := pki.NewRequest("B", pkitest.NewIdentity(t), &pkitest.RSAKey(t, 5).PublicKey, pki.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	request := string(keystore.EncodeRequest(der))
	bundle := &keystore.Bundle{CA: g.Group.CA.Raw, Cert: g.Member("A").Cert.DER, Roster: g.Roster.Envelope}
	for name, in := range map[string]func(string) []byte{
		"UTF-8":                func(s string) []byte { return []byte(s) },
		"UTF-8 with a mark":    func(s string) []byte { return []byte("\ufeff" + s) },
		"UTF-16 little-endian": func(s string) []byte { return asUTF16(s, binary.LittleEndian) },
		"UTF-16 big-endian":    func(s string) []byte { return asUTF16(s, binary.BigEndian) },
	} {
		if req, err := keystore.ReadRequest(bytes.NewReader(in(request))); err != nil || req.Role != "B" {
			t.Errorf("a request in %s: %v", name, err)
		}
		b, err := keystore.ReadBundle(bytes.NewReader(in(string(bundle.Encode()))))
		if err != nil || !bytes.Equal(b.CA, bundle.CA) || !bytes.Equal(b.Cert, bundle.Cert) || !bytes.Equal(b.Roster, bundle.Roster) {
			t.Errorf("a bundle in %s: %v", name, err)
		}
	}
	for _, torn := range []string{"\xff\xfe", "\xff\xfea", "\xef\xbb\xbf", "\xff"} {
		if _, err := keystore.ReadRequest(strings.NewReader(torn)); !errors.Is(err, pki.ErrRequest) {
			t.Errorf("%q: %v", torn, err)
		}
	}
}

// TestWriteShared: what is for others to read can be read by them, and what is no file is written into, not replaced.
func TestWriteShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "roster")
	for _, text := range []string{"one", "two"} {
		if err := keystore.WriteShared(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if data, _ := os.ReadFile(path); err != nil || string(data) != text || info.Mode().Perm() != 0o644 {
			t.Errorf("%q, %v, %v", data, info, err)
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	link := filepath.Join(dir, "stdout") // as /dev/stdout is
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", write.Fd()), link); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(link); err != nil {
		t.Skip("this system shows no open files in /proc")
	}
	if err := keystore.WriteShared(link, []byte("three")); err != nil {
		t.Fatal(err)
	}
	write.Close()
	got := make([]byte, 5)
	if n, err := read.Read(got); err != nil || string(got[:n]) != "three" {
		t.Errorf("the pipe got %q, %v", got, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v %v", info, err)
	}
}
