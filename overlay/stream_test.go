package overlay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	ma "github.com/multiformats/go-multiaddr"
)

func identity(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func wantCause(t *testing.T, err error, want Cause) {
	t.Helper()
	if got, ok := CauseOf(err); !ok || got != want {
		t.Fatalf("cause of %v is %s, want %s", err, got, want)
	}
}

func TestOpenStreamNamesTheCause(t *testing.T) {
	t.Parallel()
	relay := newHost(t, relayed(4, func(peer.ID) bool { return true }))
	a, b := newHost(t, dialOnly), newHost(t, dialOnly)
	connect(t, a, relay)
	via, _ := CircuitAddr(fullAddr(relay))

	_, err := OpenStream(deadline(t, 60*time.Second), a, b.ID(), "/echo")
	wantCause(t, err, CauseNoAddress)

	a.Peerstore().AddAddr(b.ID(), via, peerstore.TempAddrTTL)
	_, err = OpenStream(deadline(t, 60*time.Second), a, b.ID(), "/echo")
	wantCause(t, err, CauseNoCircuit)

	_, err = OpenStream(deadline(t, 60*time.Second), a, relay.ID(), "/echo")
	wantCause(t, err, CauseUnsupported)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = OpenStream(ctx, a, relay.ID(), "/echo")
	wantCause(t, err, CauseCancelled)

	nobody := newHost(t)
	gone := infoOf(nobody)
	nobody.Close()
	wantCause(t, Connect(deadline(t, 60*time.Second), a, gone), CauseUnreachable)
	wantCause(t, Connect(deadline(t, 60*time.Second), a, gone), CauseUnreachable) // at once again: no backoff
}

func TestOpenStreamTimesOut(t *testing.T) {
	t.Parallel()
	a := newHost(t, dialOnly)
	silent := peer.AddrInfo{ID: newHost(t).ID(), Addrs: []ma.Multiaddr{silentAddr(t)}}
	wantCause(t, Connect(deadline(t, 300*time.Millisecond), a, silent), CauseTimeout)
}

func TestStreamCarriesTheDeadline(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	server := HandleStream(b, "/mute", StreamLimits{Service: "mute"}, func(ctx context.Context, _ network.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	}, quiet())
	defer server.Close()
	connect(t, a, b)
	s, err := OpenStream(deadline(t, 200*time.Millisecond), a, b.ID(), "/mute")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Fatal("a read beyond the deadline succeeded")
	}
}

func TestHandleStreamPrologue(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	release, entered := make(chan struct{}), make(chan struct{}, 8)
	var lines bytes.Buffer
	log := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server := HandleStream(b, "/one", StreamLimits{Service: "one", Memory: 4096, Deadline: 100 * time.Millisecond, Streams: 1},
		func(_ context.Context, s network.Stream) error {
			if s.Scope().Stat().Memory < 4096 {
				return errors.New("no memory is reserved")
			}
			entered <- struct{}{}
			if _, err := io.ReadAll(s); err == nil { // the peer never closes: only the deadline ends it
				return errors.New("no deadline is set")
			}
			<-release
			return nil
		}, log)
	defer server.Close()
	connect(t, a, b)

	first := open(t, a, b.ID(), "/one")
	<-entered
	second := open(t, a, b.ID(), "/one")
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
		t.Fatalf("the second stream at once: %v, want a reset", err)
	}
	close(release)
	if _, err := io.ReadAll(first); err != nil {
		t.Fatalf("the first stream: %v, want a clean end", err)
	}
	server.Close() // which waits for what is logged
	if s := lines.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, `verdict="too many streams"`) {
		t.Fatalf("logged:\n%s", s)
	}
}

func TestHandlerErrorResets(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	server := HandleStream(b, "/bad", StreamLimits{Service: "bad"}, func(context.Context, network.Stream) error {
		return errors.New("no")
	}, quiet())
	defer server.Close()
	connect(t, a, b)
	s := open(t, a, b.ID(), "/bad")
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
		t.Fatalf("err = %v, want a reset", err)
	}
}

func TestStreamServerCloseWaits(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	entered, left := make(chan struct{}), make(chan struct{})
	server := HandleStream(b, "/long", StreamLimits{Service: "long"}, func(_ context.Context, s network.Stream) error {
		close(entered)
		_, err := io.ReadAll(s)
		close(left)
		return err
	}, quiet())
	connect(t, a, b)
	open(t, a, b.ID(), "/long")
	<-entered
	server.Close()
	select {
	case <-left:
	default:
		t.Fatal("Close returned before the handler did")
	}
	_, err := OpenStream(deadline(t, 60*time.Second), a, b.ID(), "/long")
	if err == nil {
		s := open(t, a, b.ID(), "/long") // negotiation is lazy: the refusal shows at the first read
		_, err = s.Read(make([]byte, 1))
	}
	if err == nil {
		t.Fatal("a closed server still serves")
	}
}
