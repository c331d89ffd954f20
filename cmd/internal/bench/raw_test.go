package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
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

// signingCost is what one Ed25519 signature costs on this machine.
type signingCost struct{ sign, verify time.Duration }

func measureSigning(b *testing.B) signingCost {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, payload+200)
	var signature []byte
	return signingCost{
		sign: typical(func() { signature = ed25519.Sign(private, data) }),
		verify: typical(func() {
			if !ed25519.Verify(public, data, signature) {
				b.Error("a good signature was refused")
			}
		}),
	}
}

// typical returns the median time of f.
func typical(f func()) time.Duration {
	var all baseline.Latencies
	for range 2000 {
		start := time.Now()
		f()
		all.Add(time.Since(start))
	}
	return all.Quantile(0.5)
}
