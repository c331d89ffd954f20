package bench

import (
	"context"
	"testing"
	"time"

	"conclave/overlay/baseline"
)

// raw is the baseline as a chat.
type raw struct{ star *baseline.Star }

func newRaw(b testing.TB, members int) raw {
	ctx, cancel := context.WithTimeout(b.Context(), patient)
	defer cancel()
	star, err := baseline.NewStar(ctx, members)
	if err != nil {
		b.Fatal(err)
	}
	r := raw{star}
	b.Cleanup(func() {
		if err := star.Close(); err != nil {
			b.Error(err)
		}
	})
	return r
}

func (r raw) size() int { return len(r.star.Members) }

func (r raw) send(ctx context.Context, from int, text string) error {
	return r.star.Members[from].Publish(ctx, []byte(text))
}

func (r raw) receive(ctx context.Context, member int) (string, error) {
	data, err := r.star.Members[member].Receive(ctx)
	return string(data), err
}

// signed is the baseline with more work on every message, as a chat: signers or keepers.
type signed[M signer] []M

type signer interface {
	Publish(ctx context.Context, data []byte) error
	Receive(ctx context.Context) ([]byte, error)
}

func newSigned(b testing.TB, members int) signed[*baseline.Signer] {
	signers, err := newRaw(b, members).star.Signers()
	if err != nil {
		b.Fatal(err)
	}
	return signers
}

// newKept is newSigned with every message on disk: within 50 ms, as Conclave's members do it.
func newKept(b testing.TB, members int) signed[*baseline.Keeper] {
	keepers, err := newRaw(b, members).star.Keepers(b.TempDir(), 50*time.Millisecond)
	if err != nil {
		b.Fatal(err)
	}
	return keepers
}

func (s signed[M]) size() int { return len(s) }

func (s signed[M]) send(ctx context.Context, from int, text string) error {
	return s[from].Publish(ctx, []byte(text))
}

func (s signed[M]) receive(ctx context.Context, member int) (string, error) {
	data, err := s[member].Receive(ctx)
	return string(data), err
}
