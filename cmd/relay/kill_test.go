package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/authority"
	"conclave/pki/pkitest"

	"github.com/libp2p/go-libp2p/core/peer"
)

// dial opens a member's session with a relay node's process.
func dial(t *testing.T, g *pkitest.Group, role string, to peer.AddrInfo) *session.Conn {
	t.Helper()
	id := g.Member(role)
	quiet := slog.New(slog.DiscardHandler)
	h, err := overlay.NewHost(overlay.HostConfig{Identity: id.Identity, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := overlay.Connect(ctx, h, to); err != nil {
		t.Fatal(err)
	}
	s, err := overlay.OpenStream(ctx, h, to.ID, overlay.SessionProtocol)
	if err != nil {
		t.Fatal(err)
	}
	roster := g.Roster
	conn, err := session.Initiate(ctx, s, session.Config{
		Group: g.Group, Cert: id.Cert.DER, Identity: id.Identity, Roster: func() *pki.Roster { return roster },
		Now: time.Now, Nonces: session.NewNonceCache(), Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Abort)
	return conn
}

func share(to peer.ID, text string) []wire.MailItem {
	return []wire.MailItem{{To: to, Kind: wire.KindShare, Payload: []byte(text)}}
}

// pending reads a member's mail until all that is wanted came.
func pending(t *testing.T, conn *session.Conn, want map[string]bool) {
	t.Helper()
	timer := time.AfterFunc(patience, conn.Abort)
	defer timer.Stop()
	for len(want) > 0 {
		m, err := conn.Receive()
		if err != nil {
			t.Fatalf("%d acknowledged mails never came: %v", len(want), err)
		}
		d, ok := m.(*wire.Delivery)
		if !ok {
			continue
		}
		var ids []wire.MailID
		for _, mail := range d.Mails {
			delete(want, string(mail.Payload))
			ids = append(ids, mail.ID)
		}
		if err := conn.Send(context.Background(), &wire.DeliveryAck{IDs: ids}); err != nil {
			t.Fatal(err)
		}
	}
}

// The relay node is killed while a member deposits as fast as it can. Whatever was acknowledged is delivered after the
// restart, under the same identity, from the same database.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "C")
	home := g.Home()
	p := start(t, home, "--listen", onLoopback)
	first := p.info().ID
	a := dial(t, g, "A", p.info())
	database := a.Database()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := uint64(1); ; i++ {
			items := share(g.Member("C").Cert.Peer, fmt.Sprintf("share %d", i))
			if a.Send(context.Background(), &wire.Deposit{Seq: i, Items: items}) != nil {
				return
			}
		}
	}()
	acknowledged := map[string]bool{}
	var killed sync.Once
	for {
		m, err := a.Receive()
		if err != nil {
			break
		}
		if r, ok := m.(*wire.DepositResult); ok && len(r.Verdicts) == 1 && r.Verdicts[0].Accepted() {
			acknowledged[fmt.Sprintf("share %d", r.Seq)] = true
		}
		if len(acknowledged) >= 50 {
			killed.Do(func() { _ = p.cmd.Process.Signal(syscall.SIGKILL) })
		}
	}
	<-sent
	<-p.rest
	_ = p.cmd.Wait()
	if len(acknowledged) < 50 {
		t.Fatalf("only %d deposits were acknowledged: %s", len(acknowledged), p.stderr)
	}
	t.Logf("%d deposits were acknowledged before the kill", len(acknowledged))

	p = start(t, home, "--listen", onLoopback)
	if p.info().ID != first {
		t.Fatalf("after the restart it is %s, before %s", p.info().ID, first)
	}
	c := dial(t, g, "C", p.info())
	if c.Database() != database {
		t.Errorf("the database is %s, was %s", c.Database(), database)
	}
	pending(t, c, acknowledged)
}

// A relay node whose database is gone has another one, and says so: members then deposit again.
func TestWipedDatabaseHasANewID(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "C")
	home := g.Home()
	p := start(t, home, "--listen", onLoopback)
	before := dial(t, g, "A", p.info()).Database()
	p.end(syscall.SIGTERM)
	files, err := filepath.Glob(filepath.Join(home, "*", "relay", "state.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database in %s, %v", home, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	p = start(t, home, "--listen", onLoopback)
	if after := dial(t, g, "A", p.info()).Database(); after == before {
		t.Error("the wiped database has its old ID")
	}
}

// `relay roster FILE` reaches the relay node that runs on the home, and through it the members.
func TestRosterReachesTheRunningRelay(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	home := g.Home()
	p := start(t, home, "--listen", onLoopback)
	a := dial(t, g, "A", p.info())
	next := g.Reissue(func(d *authority.Draft) {
		if err := d.RemoveMember("B"); err != nil {
			t.Fatal(err)
		}
	})
	file := filepath.Join(t.TempDir(), "roster")
	if err := os.WriteFile(file, next.Envelope, 0o600); err != nil {
		t.Fatal(err)
	}
	hand(t, home, file)
	timer := time.AfterFunc(patience, a.Abort)
	defer timer.Stop()
	for {
		m, err := a.Receive()
		if err != nil {
			t.Fatalf("no roster came: %v: %s", err, p.stderr)
		}
		if u, ok := m.(*wire.RosterUpdate); ok {
			if r, err := pki.OpenRoster(g.Group, u.Envelope, time.Now()); err != nil || r.Version != next.Version {
				t.Fatalf("got %v, %v", r, err)
			}
			return
		}
	}
}
