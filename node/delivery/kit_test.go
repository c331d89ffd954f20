package delivery

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"conclave/node/frame"
	"conclave/overlay/batch"
	"conclave/overlay/wire"
)

// begun is when every test begins.
var begun = time.UnixMilli(1_800_000_000_000)

// identity returns the fixed identity key of a member.
func identity(role wire.Role) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("conclave delivery test " + string(role)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(role wire.Role) ed25519.PublicKey { return identity(role).Public().(ed25519.PublicKey) }

// keys returns a frame session of a member, number of an epoch. All members of an epoch have the same.
func keys(tb testing.TB, roles []wire.Role, self wire.Role, epoch uint64) *frame.Session {
	tb.Helper()
	secret := sha256.Sum256(fmt.Appendf(nil, "secret %d", epoch))
	prk, err := frame.NewPRK(secret[:])
	if err != nil {
		tb.Fatal(err)
	}
	cfg := frame.Config{Group: wire.GroupID{1}, Transcript: transcript(epoch), PRK: prk, Self: slices.Index(roles, self)}
	for _, role := range roles {
		cfg.Members = append(cfg.Members, frame.Member{Role: role, Identity: public(role)})
	}
	s, err := frame.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func transcript(epoch uint64) wire.Transcript {
	return wire.Transcript(sha256.Sum256(fmt.Appendf(nil, "transcript %d", epoch)))
}

// committed allows a session to seal.
func committed(s *frame.Session) *frame.Session {
	s.Committed(s.Checkpoint())
	return s
}

// source is a random source that is a generator, so that a seed gives the same again.
type source struct{ *rand.ChaCha8 }

func newSource(seed uint64) source {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return source{rand.NewChaCha8(key)}
}

var _ io.Reader = source{}

// bench is one machine, stepped by hand.
type bench struct {
	t      testing.TB
	m      *Machine
	now    time.Time
	line   Settle
	outs   []Output
	seq    uint64
	awaits bool
	others map[wire.Role]map[uint64]*frame.Session // what others seal with
	ids    uint32
}

var abc = []wire.Role{"A", "B", "C"}

// newBench returns A's machine, with session 1 in use.
func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, now: begun, line: Settle{Reaches: true, Relay: true}, others: make(map[wire.Role]map[uint64]*frame.Session)}
	cfg := Config{
		Self: "A", Members: 3, MaxShown: 1000, Rand: newSource(1), Log: slog.New(slog.DiscardHandler),
		Sign: func(frames [][]byte) ([]byte, error) {
			return batch.Sign(identity("A"), "test", wire.BatchFrames, frames)
		},
		Number: func() uint64 { b.seq++; return b.seq }, Awaits: func(uint64) bool { return b.awaits },
		LineTime: func(int) time.Duration { return 0 },
		Timing: Timing{
			StoreAfter: 2 * time.Second, AckBase: 150 * time.Millisecond, AckPerMember: 40 * time.Millisecond,
			GapGrace: 30 * time.Millisecond, GapGiveUp: 20 * time.Second, DoubtAfter: 10 * time.Second,
		},
	}
	if change != nil {
		change(&cfg)
	}
	b.m = New(cfg, b.now)
	b.session(1)
	b.step(Use{transcript(1)})
	return b
}

// session completes an epoch at A.
func (b *bench) session(epoch uint64) {
	b.t.Helper()
	b.step(Session{Transcript: transcript(epoch), Epoch: epoch, Frames: committed(keys(b.t, abc, "A", epoch))})
	b.step(Live{transcript(epoch)})
}

// step gives inputs and collects what comes of them, without Settle.
func (b *bench) step(inputs ...Input) {
	for _, in := range inputs {
		b.outs = append(b.outs, b.m.Step(b.now, in)...)
	}
}

// do gives inputs and settles.
func (b *bench) do(inputs ...Input) {
	b.step(inputs...)
	b.line.Date = b.now
	b.step(b.line)
}

// after lets time pass, with all deadlines on the way.
func (b *bench) after(d time.Duration) {
	end := b.now.Add(d)
	for range 10_000 {
		due := b.m.Deadline()
		if due.IsZero() || due.After(end) {
			b.now = end
			b.do()
			return
		}
		if due.After(b.now) {
			b.now = due
		}
		b.do()
	}
	b.t.Fatal("the machine never rests")
}

// say has A say texts.
func (b *bench) say(texts ...string) []wire.MessageID {
	var list []Message
	var ids []wire.MessageID
	for _, text := range texts {
		b.ids++
		m := Message{Seq: int64(b.ids), ID: b.id(), Text: text, At: b.now}
		list, ids = append(list, m), append(ids, m.ID)
	}
	b.do(Say{Messages: list})
	return ids
}

func (b *bench) id() (id wire.MessageID) {
	binary.BigEndian.PutUint32(id[:], b.ids)
	return id
}

// as returns the session that another member seals with.
func (b *bench) as(role wire.Role, epoch uint64) *frame.Session {
	if b.others[role] == nil {
		b.others[role] = make(map[uint64]*frame.Session)
	}
	if b.others[role][epoch] == nil {
		b.others[role][epoch] = committed(keys(b.t, abc, role, epoch))
	}
	return b.others[role][epoch]
}

// seals returns a frame of another member.
func (b *bench) seals(role wire.Role, epoch uint64, c frame.Content) []byte {
	b.t.Helper()
	f, err := b.as(role, epoch).Seal(nil, c)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// text returns a frame with a text of another member.
func (b *bench) text(role wire.Role, epoch uint64, text string) []byte {
	b.t.Helper()
	b.ids++
	return b.seals(role, epoch, frame.TextContent(b.id(), b.now, text))
}

// from is a batch over the topic.
func from(role wire.Role, frames ...[]byte) Received { return Received{batchOf(role, frames...)} }

func batchOf(role wire.Role, frames ...[]byte) wire.Batch {
	return wire.Batch{Kind: wire.BatchFrames, Sender: public(role), Items: frames}
}

// of returns the outputs of a type so far.
func of[T Output](b *bench) (list []T) {
	for _, o := range b.outs {
		if o, ok := o.(T); ok {
			list = append(list, o)
		}
	}
	return list
}

// clear forgets the outputs so far.
func (b *bench) clear() { b.outs = nil }

// shown checks which texts were shown so far, each as "B: text".
func (b *bench) shown(want ...string) {
	b.t.Helper()
	var got []string
	for _, s := range of[Show](b) {
		got = append(got, string(s.From)+": "+s.Text)
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		b.t.Errorf("shown are %q, want %q", got, want)
	}
}

// relay is a relay node that can be asked.
var relay = Source{ID: "relay", Peer: "relay", Relay: true}

// lastAsk returns what was asked for last.
func (b *bench) lastAsk() Ask {
	b.t.Helper()
	list := of[Ask](b)
	if len(list) == 0 {
		b.t.Fatal("nothing is asked for")
	}
	return list[len(list)-1]
}

// answer answers what was asked for last.
func (b *bench) answer(more bool, batches ...wire.Batch) {
	b.t.Helper()
	a := b.lastAsk()
	b.do(Fetched{Source: a.Source, Seq: a.Fetch.Seq, Batches: batches, More: more})
}

// opens returns what a published batch of A's holds, opened as another member.
func (b *bench) opens(p Publish, as wire.Role, epoch uint64) (list []frame.Content) {
	b.t.Helper()
	parsed, err := batch.Verify("test", p.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, item := range parsed.Items {
		opened, err := b.as(as, epoch).Open(public("A"), item)
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, opened.Content)
	}
	return list
}
