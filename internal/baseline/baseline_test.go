package baseline_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"conclave/internal/baseline"
)

func TestCipherOpensWhatItSealedAndNothingElse(t *testing.T) {
	c := baseline.NewCipher([32]byte{1}, [32]byte{2})
	text := []byte("the baseline must do real work")
	sealed := c.Seal(nil, text)
	if len(sealed) != len(text)+baseline.Overhead {
		t.Fatalf("sealed %d bytes to %d", len(text), len(sealed))
	}
	if got, err := c.Open(nil, sealed); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("opened %q, %v", got, err)
	}
	if again := c.Seal(nil, text); bytes.Equal(again, sealed) {
		t.Fatal("two seals of one text are equal")
	}
	for i := range sealed {
		sealed[i] ^= 1
		if _, err := c.Open(nil, sealed); !errors.Is(err, baseline.ErrOpen) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		sealed[i] ^= 1
	}
	if _, err := c.Open(nil, sealed[:baseline.Overhead-1]); !errors.Is(err, baseline.ErrOpen) {
		t.Fatalf("short text: %v", err)
	}
}

func TestLogKeepsEveryRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 2 { // opening again continues
		log, err := baseline.OpenLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if want := "\x00\x00\x00\x03abc\x00\x00\x00\x03abc"; err != nil || string(got) != want {
		t.Fatalf("the file holds %q, %v", got, err)
	}
}

func TestRSARoundRuns(t *testing.T) {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil { // small: this is about the round
			t.Fatal(err)
		}
	}
	if err := baseline.RSARound(keys, 64, []byte("label")); err != nil {
		t.Fatal(err)
	}
	if err := baseline.RSARound(keys, 1024, []byte("label")); err == nil {
		t.Fatal("a secret longer than the key was wrapped")
	}
}

func TestQuantiles(t *testing.T) {
	var l baseline.Latencies
	if l.Quantile(0.5) != 0 {
		t.Fatal("a quantile of nothing")
	}
	for i := 100; i > 0; i-- {
		l.Add(time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := l.Quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}

func TestInterleaveTakesTurns(t *testing.T) {
	var turns string
	stop := errors.New("enough")
	side := func(name string, last int) func(int) error {
		return func(round int) error {
			turns += fmt.Sprint(name, round, " ")
			if round == last {
				return stop
			}
			return nil
		}
	}
	if err := baseline.Interleave(3, side("a", 9), side("b", 1)); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if turns != "a0 b0 a1 b1 " {
		t.Fatalf("turns: %s", turns)
	}
}

func TestPerSecondCountsCalls(t *testing.T) {
	var calls atomic.Int64
	rate, err := baseline.PerSecond(3, 20*time.Millisecond, func(int, int) error {
		calls.Add(1)
		return nil
	})
	if most := float64(calls.Load()) / 0.02; err != nil || rate <= 0 || rate > most {
		t.Fatalf("%v a second, at most %v; %v", rate, most, err)
	}
	stop := errors.New("enough")
	if _, err := baseline.PerSecond(3, time.Hour, func(int, int) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
}

func TestSignersRefuseWhatIsNotSigned(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	star, err := baseline.NewStar(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := star.Close(); err != nil {
			t.Error(err)
		}
	}()
	signers, err := star.Signers()
	if err != nil {
		t.Fatal(err)
	}
	if err := signers[0].Publish(ctx, []byte("signed")); err != nil {
		t.Fatal(err)
	}
	if got, err := signers[1].Receive(ctx); err != nil || string(got) != "signed" {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, data := range [][]byte{[]byte("short"), make([]byte, 200)} {
		if err := star.Members[0].Publish(ctx, data); err != nil {
			t.Fatal(err)
		}
		if _, err := signers[1].Receive(ctx); !errors.Is(err, baseline.ErrSignature) {
			t.Fatalf("%d bytes without a signature: %v", len(data), err)
		}
	}
	other, err := star.Signers() // with keys that the first do not trust
	if err != nil {
		t.Fatal(err)
	}
	if err := other[0].Publish(ctx, []byte("foreign")); err != nil {
		t.Fatal(err)
	}
	if _, err := signers[1].Receive(ctx); !errors.Is(err, baseline.ErrSignature) {
		t.Fatalf("a foreign signature: %v", err)
	}
}

func TestJournalsKeep(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	star, err := baseline.NewStar(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	journals, err := star.Journals(dir, time.Millisecond)
	if err != nil {
		t.Fatal(err, star.Close())
	}
	for _, text := range []string{"first", "second"} {
		if err := star.Members[0].Publish(ctx, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := star.Members[1].Receive(ctx)
		if err != nil || string(got) != text {
			t.Fatalf("got %q, %v", got, err)
		}
		journals[1].Note(got)
	}
	count := func(name string) int {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(got, []byte("first")) + bytes.Count(got, []byte("second"))
	}
	for count("hub") < 2 { // whoever closes earlier stops the hub before it has taken both
		if ctx.Err() != nil {
			t.Fatalf("the hub keeps %d messages, want 2", count("hub"))
		}
		time.Sleep(time.Millisecond)
	}
	if err := star.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"hub": 2, "0": 0, "1": 2} {
		if got := count(name); got != want {
			t.Errorf("%s keeps %d messages, want %d", name, got, want)
		}
	}
}

func TestStarDeliversToEveryMember(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const members = 16 // more than the default mesh holds
	star, err := baseline.NewStar(ctx, members)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := star.Close(); err != nil {
			t.Error(err)
		}
	}()
	for from, sender := range star.Members {
		want := fmt.Appendf(nil, "from %d", from)
		if err := sender.Publish(ctx, want); err != nil {
			t.Fatal(err)
		}
		for to, receiver := range star.Members {
			if to == from {
				continue
			}
			if got, err := receiver.Receive(ctx); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("member %d got %q, %v", to, got, err)
			}
		}
	}
}
