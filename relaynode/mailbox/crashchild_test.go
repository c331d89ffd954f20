package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/durable"
	"conclave/overlay/wire"
	"conclave/relaynode/backlog"
	"conclave/relaynode/mailbox"
	"conclave/relaynode/mailbox/mailboxtest"
)

const (
	childEnv = "CONCLAVE_CRASH_CHILD" // the database's path, for a process that is to be killed
	stormEnv = "CONCLAVE_CRASH_STORM" // set when it shall write from many goroutines
)

// relay is what a relay node keeps: both stores in one database.
type relay struct {
	db   *durable.DB // nil in memory
	mail mailbox.Store
	log  backlog.Store
}

func openRelay(path string) (relay, error) {
	// Erase makes the log short, so that a short life sees it moved into the database, too. strace counts each thread's calls.
	db, err := durable.Open(path, []durable.Schema{mailbox.Schema(), backlog.Schema()}, durable.Options{PageSize: mailbox.PageSize, Erase: true, OneThread: true})
	if err != nil {
		return relay{}, err
	}
	return relay{db, mailbox.NewSQLite(db, mailbox.Fixed(mailbox.DefaultLimits(3))), backlog.NewSQLite(db, backlog.DefaultLimits())}, nil
}

func (r relay) check(ctx context.Context) error {
	return errors.Join(r.mail.Check(ctx), r.log.Check(ctx))
}

// describe lists all mail for B and C and all batches, one a line: the first line of each.
func (r relay) describe(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, to := range []peer.ID{mailboxtest.B, mailboxtest.C} {
		for after := int64(0); ; {
			page, err := r.mail.Pending(ctx, to, after, 1000)
			if err != nil {
				return "", err
			}
			if len(page) == 0 {
				break
			}
			for _, m := range page {
				after = m.Seq
				first, _, _ := strings.Cut(string(m.Payload), "\n")
				fmt.Fprintln(&b, first)
			}
		}
	}
	heads, _, err := r.log.Heads(ctx, 0)
	if err != nil {
		return "", err
	}
	for _, h := range heads {
		if err := r.describeChain(ctx, &b, h); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func (r relay) describeChain(ctx context.Context, b *strings.Builder, h backlog.Head) error {
	batches, more, err := r.log.Fetch(ctx, backlog.Range{Chain: h.Chain, From: h.Low, To: h.High}, 1<<30)
	if err != nil || more {
		return fmt.Errorf("fetching (more: %v): %w", more, err)
	}
	for _, data := range batches {
		first, _, _ := strings.Cut(string(data), "\n")
		fmt.Fprintln(b, first)
	}
	return nil
}

// step is one call that is acknowledged.
type step func(ctx context.Context, r relay) error

var born = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// life is what the child does. Every step may be taken again.
var life = []step{
	deposit(mailboxtest.A, share(mailboxtest.B, "a1"), share(mailboxtest.C, "a2")),
	appendBatch(1, 0, 1, 2),
	acknowledge(mailboxtest.B, mailboxtest.A, "a1"),
	deposit(mailboxtest.B, share(mailboxtest.C, "b1"), share(mailboxtest.C, "b2")),
	appendBatch(1, 3, 4),
	acknowledge(mailboxtest.C, mailboxtest.A, "a2"),
	expireBacklog(61 * 24 * time.Hour),
	appendBatch(2, 0),
}

// share is a mail as large as a share's envelope that begins with a line of its own.
func share(to peer.ID, name string) wire.MailItem {
	return wire.MailItem{To: to, Kind: wire.KindShare, Payload: []byte(name + "\n" + strings.Repeat("x", 1500))}
}

func deposit(from peer.ID, items ...wire.MailItem) step {
	return func(ctx context.Context, r relay) error {
		verdicts, err := r.mail.Deposit(ctx, from, items, born)
		for _, v := range verdicts {
			if !v.Accepted() {
				err = errors.Join(err, errors.New(v.String()))
			}
		}
		return err
	}
}

func acknowledge(to, from peer.ID, name string) step {
	item := share(to, name)
	return func(ctx context.Context, r relay) error {
		_, err := r.mail.Acknowledge(ctx, to, []wire.MailID{wire.MailIDOf(from, to, item.Kind, item.Payload)})
		return err
	}
}

// batchOf is a batch of A whose data begins with a line of its own.
func batchOf(start uint32, counters ...uint32) backlog.Entry {
	e := backlog.Entry{Signer: mailboxtest.A, Data: []byte(fmt.Sprintf("batch %d %d\n%s", start, counters[0], strings.Repeat("y", 700)))}
	for _, c := range counters {
		e.Frames = append(e.Frames, wire.FrameHeader{Prefix: wire.Prefix{7}, Start: start, Counter: c})
	}
	e.ID = wire.BatchIDOf(e.Data)
	return e
}

func appendBatch(start uint32, counters ...uint32) step {
	return func(ctx context.Context, r relay) error {
		_, err := r.log.Append(ctx, []backlog.Entry{batchOf(start, counters...)}, born.Add(time.Duration(start)*30*24*time.Hour))
		return err
	}
}

func expireBacklog(after time.Duration) step {
	return func(ctx context.Context, r relay) error {
		_, err := r.log.Expire(ctx, born.Add(after))
		return err
	}
}

// crashChild does the child's work when this process is one, and says whether it was.
func crashChild() bool {
	path := os.Getenv(childEnv)
	if path == "" {
		return false
	}
	time.AfterFunc(crashTimeout, func() { os.Exit(3) })
	r, err := openRelay(path)
	if err != nil {
		fmt.Println("failed -1", err)
		return true
	}
	if os.Getenv(stormEnv) != "" {
		storm(r)
	}
	for i, step := range life {
		for err := step(context.Background(), r); err != nil; err = step(context.Background(), r) {
			fmt.Println("failed", i, err)
		}
		fmt.Println("done")
	}
	_ = r.db.Close() // the fault may hit it; what was acknowledged is in the log
	fmt.Println("closed")
	return true
}

// storm writes until it is killed.
func storm(r relay) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range uint32(16) {
		wg.Go(func() {
			for i := uint32(0); ; i++ {
				name := fmt.Sprintf("mail %d %d", g, i)
				err := deposit(peer.ID(fmt.Sprint("sender ", g)), share(mailboxtest.B, name))(context.Background(), r)
				if err != nil {
					time.Sleep(time.Hour) // its quota is used up; the kill is near
				}
				err = appendBatch(g+1, i)(context.Background(), r)
				if err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Printf("%s\nbatch %d %d\n", name, g+1, i)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
