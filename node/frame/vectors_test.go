package frame

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conclave/overlay/wire"
)

var update = flag.Bool("update", false, "write the vector file anew")

const vectorFile = "testdata/vectors.json"

// vectorSet is testdata/vectors.json: one session, keys of its schedule, and frames that member "self" is handed in
// order, each with what must come of it.
type vectorSet struct {
	Comment    string         `json:"comment"`
	Group      string         `json:"group"`
	Transcript string         `json:"transcript"`
	PRK        string         `json:"prk"`
	Members    []vectorMember `json:"members"`
	Self       int            `json:"self"`
	Schedule   []vectorKeys   `json:"schedule"`
	Frames     []vectorFrame  `json:"frames"`
}

type vectorMember struct {
	Role     string `json:"role"`
	Identity string `json:"identity"`
}

// vectorKeys are the keys of one frame and what they come from.
type vectorKeys struct {
	Sender  uint16 `json:"sender"`
	Start   uint32 `json:"start"`
	Counter uint32 `json:"counter"`
	Root    string `json:"root"`  // of the start
	Chain   string `json:"chain"` // of the counter
	AES     string `json:"aes"`
	MAC     string `json:"mac"`
}

// vectorFrame is one frame and what must come of it.
type vectorFrame struct {
	Name   string `json:"name"`
	Signer string `json:"signer"` // identity key that signed the batch
	Frame  string `json:"frame"`
	Expect string `json:"expect"` // open, content, forged, foreign, replay, old, own, behind
	Start  uint32 `json:"start,omitempty"`
	Number uint32 `json:"counter,omitempty"`
	ID     string `json:"id,omitempty"`
	SentMs int64  `json:"sentMs,omitempty"`
	Type   int    `json:"type,omitempty"`
	Body   string `json:"body,omitempty"`
}

// classes are the words of Expect.
var classes = map[string]error{
	"open": nil, "content": ErrContent, "forged": ErrForged, "foreign": ErrForeign, "replay": ErrReplay, "old": ErrTooOld,
	"own": ErrOwn, "behind": ErrBehind,
}

// TestVectors runs the vector file, which another implementation can run too.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var set vectorSet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, restarts := range []bool{false, true} { // the second time the receiver restarts after each frame
		s := set.session(t)
		for _, f := range set.Frames {
			seen[f.Expect] = true
			if got := f.try(t, s); !cmp.Equal(f, got) {
				t.Errorf("%s: %s", f.Name, cmp.Diff(f, got))
			}
			if restarts && f.Expect != "own" && f.Expect != "behind" {
				s = restart(t, s)
			}
		}
	}
	for class := range classes {
		if !seen[class] {
			t.Errorf("the file has no frame of class %q", class)
		}
	}
	for _, k := range set.Schedule {
		if got := schedule(set.config(t), k.Sender, k.Start, k.Counter); got != k {
			t.Errorf("schedule: %s", cmp.Diff(k, got))
		}
	}
}

// config returns the set's session configuration.
func (v *vectorSet) config(t *testing.T) Config {
	prk, err := NewPRK(unhex(t, v.PRK))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Group: wire.GroupID(unhex(t, v.Group)), Transcript: wire.Transcript(unhex(t, v.Transcript)), PRK: prk, Self: v.Self,
	}
	for _, m := range v.Members {
		cfg.Members = append(cfg.Members, Member{Role: wire.Role(m.Role), Identity: unhex(t, m.Identity)})
	}
	return cfg
}

// session returns the set's session, in start 1.
func (v *vectorSet) session(t *testing.T) *Session {
	s, err := New(v.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return restart(t, s)
}

// try opens the frame and returns it with what came of it.
func (f vectorFrame) try(t *testing.T, s *Session) vectorFrame {
	got := vectorFrame{Name: f.Name, Signer: f.Signer, Frame: f.Frame}
	opened, err := s.Open(unhex(t, f.Signer), unhex(t, f.Frame))
	for class, want := range classes {
		if want == nil && err == nil || want != nil && errors.Is(err, want) {
			got.Expect = class
		}
	}
	got.Start, got.Number = opened.Start, opened.Counter
	if err == nil {
		c := opened.Content
		got.ID, got.SentMs, got.Type, got.Body = c.ID.String(), c.Sent.UnixMilli(), int(c.Type), hex.EncodeToString(c.Body)
	}
	return got
}

// schedule derives the keys of one frame, straight from SPEC.md section 7.3 with crypto/hkdf.
func schedule(cfg Config, sender uint16, start, counter uint32) vectorKeys {
	root := reference(cfg.PRK.k[:], string(labelRoot)+string([]byte{byte(sender >> 8), byte(sender)}))
	for range start {
		root = reference(root, string(labelNextRoot))
	}
	chain := reference(root, string(labelChain))
	for range counter {
		chain = reference(chain, string(labelStep))
	}
	return vectorKeys{
		Sender: sender, Start: start, Counter: counter,
		Root: hex.EncodeToString(root), Chain: hex.EncodeToString(chain),
		AES: hex.EncodeToString(reference(chain, string(labelAES))),
		MAC: hex.EncodeToString(reference(chain, string(labelMAC))),
	}
}

// writeVectors writes the vector file anew. Everything in it is derived from constants.
func writeVectors(t *testing.T) {
	cfg := testConfig(t, 1)
	set := vectorSet{
		Comment: "Frames of SPEC.md section 7.3. Hand them in order to member self, whose own start is 1 and who has sealed nothing in it; " +
			"start and counter are given where the frame counts as opened.",
		Group: cfg.Group.String(), Transcript: cfg.Transcript.String(), PRK: hex.EncodeToString(cfg.PRK.k[:]), Self: 1,
	}
	for _, m := range cfg.Members {
		set.Members = append(set.Members, vectorMember{Role: string(m.Role), Identity: hex.EncodeToString(m.Identity)})
	}
	for _, k := range []Position{{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}, {2, 3, 5}} {
		set.Schedule = append(set.Schedule, schedule(cfg, k.Sender, k.Start, k.Counter))
	}
	s := set.session(t)
	add := func(name string, by ed25519.PublicKey, frame []byte) {
		f := vectorFrame{Name: name, Signer: hex.EncodeToString(by), Frame: hex.EncodeToString(frame)}
		set.Frames = append(set.Frames, f.try(t, s))
	}
	sender := func(self int, start uint32, change func(*Config)) *Session {
		cfg := testConfig(t, self)
		cfg.Rand = &counting{}
		change(&cfg)
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for s.start < start {
			if s, err = Restore(s.Checkpoint().Bytes(), cfg.Rand); err != nil {
				t.Fatal(err)
			}
		}
		s.Committed(s.Checkpoint())
		return s
	}
	same := func(*Config) {}
	add("one's own of an earlier start", signer(1), seal(t, sender(1, 0, same), text(16)))
	add("one's own that was never sealed here", signer(1), seal(t, sender(1, 1, same), text(15)))
	at := time.UnixMilli(1_763_841_600_000)
	a := sender(0, 0, same)
	first := seal(t, a, TextContent(messageID(1), at, "hello"))
	add("text", signer(0), first)
	add("the same again", signer(0), first)
	add("umlauts, and a text that fills its bucket", signer(0), seal(t, a, TextContent(messageID(2), at, strings.Repeat("ü", 64))))
	late := seal(t, a, AckContent(messageID(3), at, []Ack{{1, wire.ShortID{1, 2, 3, 4}}, {2, wire.ShortID{0xa5}}}))
	add("a later one first", signer(0), seal(t, a, BehindContent(messageID(4), at, Position{Sender: 2, Start: 1, Counter: 7})))
	add("the one before it, an acknowledgement", signer(0), late)
	add("and again", signer(0), late)

	next := seal(t, a, TextContent(messageID(5), at, "next"))
	edit := func(f func(b []byte)) []byte { b := bytes.Clone(next); f(b); return b }
	add("signed by another member", signer(2), next)
	add("signed by the receiver", signer(1), next)
	add("sender index of another", signer(0), edit(func(b []byte) { b[11] = 2 }))
	add("sender index of nobody", signer(0), edit(func(b []byte) { b[11] = 3 }))
	add("version 2", signer(0), edit(func(b []byte) { b[0] = 2 }))
	add("unknown type", signer(0), edit(func(b []byte) { b[1] = 2 }))
	add("another session's prefix", signer(0), edit(func(b []byte) { b[2] ^= 1 }))
	add("start moved", signer(0), edit(func(b []byte) { b[15] = 1 }))
	add("counter moved", signer(0), edit(func(b []byte) { b[19]++ }))
	add("counter moved far", signer(0), edit(func(b []byte) { b[18] = 200 }))
	add("counter moved beyond the last", signer(0), edit(func(b []byte) { b[16] = 0x80 }))
	add("length", signer(0), edit(func(b []byte) { b[23]++ }))
	add("IV", signer(0), edit(func(b []byte) { b[24] ^= 1 }))
	add("first byte of ciphertext", signer(0), edit(func(b []byte) { b[40] ^= 1 }))
	add("last byte of ciphertext", signer(0), edit(func(b []byte) { b[len(b)-33] ^= 1 }))
	add("MAC", signer(0), edit(func(b []byte) { b[len(b)-1] ^= 1 }))
	add("cut short", signer(0), next[:len(next)-1])
	add("one byte more", signer(0), append(bytes.Clone(next), 0))
	add("empty", signer(0), nil)
	for _, other := range []struct {
		name   string
		change func(*Config)
	}{
		{"another group", func(c *Config) { c.Group[0] ^= 1 }},
		{"another transcript with the same prefix", func(c *Config) { c.Transcript[31] ^= 1 }},
	} {
		s := sender(0, 0, other.change)
		burn(s, int(a.counter)-1)
		add(other.name, signer(0), seal(t, s, text(1)))
	}
	add("the untouched frame", signer(0), next)

	plain := make([]byte, text(6).size())
	text(6).put(plain)
	plain[len(plain)-1] = 1
	add("padding that is not zero", signer(0), sealRaw(t, a, plain))
	text(6).put(plain)
	plain[29] = 0xff
	add("text that is not UTF-8", signer(0), sealRaw(t, a, plain))
	text(6).put(plain)
	plain[24] = 0x7f
	add("content of an unknown type", signer(0), sealRaw(t, a, plain))

	lost := seal(t, a, text(7))
	edge := seal(t, a, text(8))
	burn(a, MaxSkipped-1)
	add("2,001 counters ahead", signer(0), seal(t, a, text(9)))
	add("the one that is behind the window now", signer(0), lost)
	add("the oldest one in it", signer(0), edge)

	add("start 1", signer(0), seal(t, sender(0, 1, same), text(10)))
	add("start 66 opens starts 3 to 66", signer(0), seal(t, sender(0, 66, same), text(11)))
	add("start 3", signer(0), seal(t, sender(0, 3, same), text(12)))
	add("start 2", signer(0), seal(t, sender(0, 2, same), text(13)))
	c := sender(2, 0, same)
	add("another member", signer(2), seal(t, c, text(14)))
	other := wire.Prefix{0xa5, 1, 2, 3, 4, 5, 6, 7}
	add("what came before, under another session", signer(2), seal(t, c, PreviousContent(messageID(17), at, other, Position{Sender: 2, Start: 1, Counter: 7})))

	out, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(out, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
