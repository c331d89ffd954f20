package bench

import (
	"context"
	"testing"

	"conclave/internal/baseline"
)

// raw is the baseline as a chat.
type raw struct{ star *baseline.Star }

func newRaw(b testing.TB, members int) *raw {
	ctx, cancel := context.WithTimeout(b.Context(), patient)
	defer cancel()
	star, err := baseline.NewStar(ctx, members)
	if err != nil {
		b.Fatal(err)
	}
	r := &raw{star}
	b.Cleanup(func() {
		if err := r.close(); err != nil {
			b.Error(err)
		}
	})
	return r
}

func (r *raw) close() error {
	star := r.star
	if r.star = nil; star == nil { // the benchmark's end, which holds r, must not hold it
		return nil
	}
	return star.Close()
}

func (r *raw) settle(context.Context) error { return nil }

func (r *raw) size() int { return len(r.star.Members) }

func (r *raw) send(ctx context.Context, from int, text string) error {
	return r.star.Members[from].Publish(ctx, []byte(text))
}

func (r *raw) receive(ctx context.Context, member int) (string, error) {
	data, err := r.star.Members[member].Receive(ctx)
	return string(data), err
}

// signed is the baseline with a signature on every message, as a chat.
type signed struct {
	*raw
	members []*baseline.Signer
}

func newSigned(b testing.TB, members int) chat {
	r := newRaw(b, members)
	signers, err := r.star.Signers()
	if err != nil {
		b.Fatal(err)
	}
	return &signed{r, signers}
}

func (s *signed) send(ctx context.Context, from int, text string) error {
	return s.members[from].Publish(ctx, []byte(text))
}

func (s *signed) receive(ctx context.Context, member int) (string, error) {
	data, err := s.members[member].Receive(ctx)
	return string(data), err
}

// ours and plain are newConclave and newRaw as sides.
func ours(b testing.TB, members int) chat  { return newConclave(b, members) }
func plain(b testing.TB, members int) chat { return newRaw(b, members) }
