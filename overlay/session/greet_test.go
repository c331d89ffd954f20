package session

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestGreetBeginsNoSession learns what the relay node says of itself, and the relay node has no session of it.
func TestGreetBeginsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	now := a.cfg.Now
	r.cfg.Now = func() time.Time { return now().Add(30 * time.Second) }
	results := w.serve(r)
	g, err := Greet(context.Background(), w.dial(a, r), a.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if g.Certificate.Peer != r.host.ID() || g.RosterVersion != w.Roster.Version || g.Skew < 25*time.Second || g.Skew > 35*time.Second {
		t.Errorf("greeted by %+v", g)
	}
	if got := w.wait(results); got.err == nil {
		t.Error("the relay node has a session")
	}
}

// TestGreetNamesTheSkew fails as a handshake does.
func TestGreetNamesTheSkew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, r := w.member("A"), w.relay(0)
	now := a.cfg.Now
	a.cfg.Now = func() time.Time { return now().Add(time.Hour) }
	w.serve(r)
	_, err := Greet(context.Background(), w.dial(a, r), a.cfg)
	var skew *SkewError
	if !errors.As(err, &skew) || !skew.Told || skew.Skew > -59*time.Minute {
		t.Errorf("err = %v", err)
	}
}

// TestLargeMessageOnASlowLine has a message come for longer than the connection may be silent.
func TestLargeMessageOnASlowLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, r := w.pair(func(c *Config) { c.Ping, c.Silence = time.Hour, 2*time.Second })
	began := time.Now()
	b := largeMessage(t)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range 8 { // in eight parts, half a second apart
			if i > 0 {
				<-time.After(500 * time.Millisecond)
			}
			_, _ = m.stream.Write(b[len(b)*i/8 : len(b)*(i+1)/8])
		}
	}()
	if _, err := r.Receive(); err != nil {
		t.Fatalf("after %s: %v", time.Since(began), err)
	}
	<-sent
	if time.Since(began) < 2*time.Second {
		t.Fatal("it came too fast to show anything")
	}
	if since := time.Since(r.Heard()); since > time.Minute || r.Unheard() != 0 {
		t.Errorf("heard %s ago, %d bytes since", since, r.Unheard())
	}
}
