package frame

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"conclave/overlay/wire"
)

// testRoles are the members of every test session, in role order.
var testRoles = []wire.Role{"A", "B", "C"}

// testIdentity returns the fixed identity key of a member.
func testIdentity(i int) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("conclave test identity " + testRoles[i]))
	return ed25519.NewKeyFromSeed(seed[:])
}

// signer returns a member's public identity key.
func signer(i int) ed25519.PublicKey { return testIdentity(i).Public().(ed25519.PublicKey) }

// testConfig returns the configuration of member self in the one session that the tests share.
func testConfig(tb testing.TB, self int) Config {
	tb.Helper()
	return testConfigOf(self)
}

// testConfigOf is testConfig where there is no testing.TB.
func testConfigOf(self int) Config {
	prk := PRK{k: sha256.Sum256([]byte("conclave test PRK"))}
	cfg := Config{
		Group:      wire.GroupID(sha256.Sum256([]byte("conclave test group"))),
		Transcript: wire.Transcript(sha256.Sum256([]byte("conclave test transcript"))),
		PRK:        prk,
		Self:       self,
	}
	for i, role := range testRoles {
		cfg.Members = append(cfg.Members, Member{Role: role, Identity: signer(i)})
	}
	return cfg
}

// testSession returns a session of member self that may seal.
func testSession(tb testing.TB, self int) *Session {
	tb.Helper()
	s, err := New(testConfig(tb, self))
	if err != nil {
		tb.Fatal(err)
	}
	s.Committed(s.Checkpoint())
	return s
}

// restart returns the session that a new process makes of this one's state.
func restart(tb testing.TB, s *Session) *Session {
	tb.Helper()
	next, err := Restore(s.Checkpoint().Bytes(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	next.Committed(next.Checkpoint())
	return next
}

// text returns content whose message ID tells n.
func text(n int) Content {
	return TextContent(messageID(n), time.UnixMilli(1_700_000_000_000+int64(n)), "message")
}

// messageID returns a message ID that tells n.
func messageID(n int) (id wire.MessageID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// seal seals content, or fails the test.
func seal(tb testing.TB, s *Session, c Content) []byte {
	tb.Helper()
	frame, err := s.Seal(nil, c)
	if err != nil {
		tb.Fatalf("Seal: %v", err)
	}
	return frame
}

// open opens a frame that member from signed, or fails the test.
func open(tb testing.TB, s *Session, from int, frame []byte) Opened {
	tb.Helper()
	opened, err := s.Open(signer(from), frame)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return opened
}

// put writes the padded plaintext of content into dst.
func (c Content) put(dst []byte) { c.encrypt(dst, noCipher{}) }

// noCipher is a key stream of zeros.
type noCipher struct{}

// XORKeyStream copies.
func (noCipher) XORKeyStream(dst, src []byte) { copy(dst, src) }

// crypt sets dst to src XOR the key stream, or fails the test.
func crypt(tb testing.TB, dst, src []byte, k *key, iv []byte) {
	tb.Helper()
	stream, err := newStream(k, iv)
	if err != nil {
		tb.Fatal(err)
	}
	stream.XORKeyStream(dst, src)
}

// counting is a source of bytes 0, 1, 2, …, for IVs that can be written down.
type counting struct{ n byte }

// Read fills b.
func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.n
		c.n++
	}
	return len(b), nil
}

var _ io.Reader = (*counting)(nil)
