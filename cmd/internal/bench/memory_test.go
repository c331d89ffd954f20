package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"conclave/internal/baseline"
	"conclave/overlay"
	"conclave/overlay/session"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki"
	"conclave/pki/keystore"
	"conclave/pki/pkitest"
	"conclave/relaynode"
)

const idleMembers = 100

// serveVariable makes this test binary a hub in a process of its own: both sides then have the same code linked, and
// what their members cost is not mixed with what it costs to be the members.
const serveVariable = "BENCH_SERVE"

func TestMain(m *testing.M) {
	if how := os.Getenv(serveVariable); how != "" {
		if err := serve(how, os.Getenv("BENCH_HOME")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve runs a hub until stdin ends. It prints its address, and for each line of stdin how many members it has and what
// memory is in use.
func serve(how, home string) error {
	address, members, end := "", func() int { return 0 }, func() error { return nil }
	switch how {
	case "raw":
		hub, err := baseline.NewHub(idleMembers)
		if err != nil {
			return err
		}
		address = fmt.Sprintf("%s/p2p/%s", hub.Addr().Addrs[0], hub.Addr().ID)
		members, end = hub.Peers, hub.Close
	case "relay":
		relay, err := openRelay(home)
		if err != nil {
			return err
		}
		ran := make(chan error, 1)
		go func() { ran <- relay.Run(context.Background()) }()
		address = relay.Addrs()[0].String()
		members = func() int { return online(relay) }
		end = func() error { return errors.Join(relay.Close(), <-ran) }
	}
	fmt.Println(address)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(members(), inUse())
	}
	return end()
}

func openRelay(home string) (*relaynode.Node, error) {
	dir, err := keystore.FindGroup(home, "")
	if err != nil {
		return nil, err
	}
	id, err := dir.OpenRelay()
	if err != nil {
		return nil, err
	}
	file := dir.RosterFile(id.Group, time.Now)
	roster, err := file.Load()
	if err != nil {
		return nil, err
	}
	return relaynode.New(relaynode.Config{
		Group: id.Group, Certificate: id.Cert.DER, Identity: id.Identity, Roster: roster, RosterFile: file,
		StatePath: filepath.Join(id.Dir, "state.db"), Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
	})
}

// online returns how many members have a session and are in the topic.
func online(relay *relaynode.Node) int {
	status, err := relay.Status(context.Background())
	if err != nil {
		return -1
	}
	n := 0
	for _, m := range status.Members {
		if m.Online {
			n++
		}
	}
	return min(n, status.TopicPeers)
}

// inUse returns the bytes of heap and stacks in use after a garbage collection.
func inUse() uint64 {
	debug.FreeOSMemory()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc + stats.StackInuse
}

// hub is a hub in a process of its own.
type hub struct {
	*program
	ask io.Writer
}

func startHub(ctx context.Context, how, home string) (*hub, string, error) {
	if err := errors.Join(os.Setenv(serveVariable, how), os.Setenv("BENCH_HOME", home)); err != nil {
		return nil, "", err
	}
	defer os.Unsetenv(serveVariable)
	own, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p, err := start(ctx, own)
	if err != nil {
		return nil, "", err
	}
	address, err := p.await(ctx, func(line string) bool { return strings.HasPrefix(line, "/") })
	return &hub{p, p.stdin.(io.Writer)}, address, err
}

// measure asks the hub how many members it has and what memory it uses.
func (h *hub) measure(ctx context.Context) (members int, bytes uint64, err error) {
	if _, err := io.WriteString(h.ask, "\n"); err != nil {
		return 0, 0, err
	}
	line, err := h.await(ctx, func(string) bool { return true })
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(line, &members, &bytes)
	return members, bytes, err
}

// settle waits until all members are there and for a while more, and returns what memory is then in use.
func (h *hub) settle(ctx context.Context, members int) (uint64, error) {
	for {
		n, _, err := h.measure(ctx)
		if err != nil {
			return 0, err
		}
		if n == members {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(5 * time.Second) // heartbeats pass, buffers of the start are let go
	_, bytes, err := h.measure(ctx)
	return bytes, err
}

// memory returns what each of the members that connect starts costs a hub.
func memory(ctx context.Context, how, home string, connect func(ctx context.Context, address string) (func() error, error)) (perMember float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*patient)
	defer cancel()
	h, address, err := startHub(ctx, how, home)
	if err != nil {
		return 0, err
	}
	defer h.stop()
	empty, err := h.settle(ctx, 0)
	if err != nil {
		return 0, err
	}
	disconnect, err := connect(ctx, address)
	if err != nil {
		return 0, err
	}
	full, err := h.settle(ctx, idleMembers)
	return (float64(full) - float64(empty)) / idleMembers, errors.Join(err, disconnect())
}

// idle is a member that is connected to the relay node as a real one is, in the session, on the topic and with a circuit
// reserved, and does nothing: what key agreement leaves in the mailbox is not what this is about.
type idle struct {
	host    host.Host
	conn    *session.Conn
	topic   *topic.Handle
	drained chan struct{}
}

func newIdle(ctx context.Context, group *pkitest.Group, role wire.Role, relay peer.AddrInfo) (_ *idle, err error) {
	id, log := group.Member(string(role)), slog.New(slog.DiscardHandler)
	m := &idle{drained: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if m.host, err = overlay.NewHost(overlay.HostConfig{Identity: id.Identity, Log: log}); err != nil {
		return nil, err
	}
	if err := overlay.Connect(ctx, m.host, relay); err != nil {
		return nil, err
	}
	stream, err := overlay.OpenStream(ctx, m.host, relay.ID, overlay.SessionProtocol)
	if err != nil {
		return nil, err
	}
	m.conn, err = session.Initiate(ctx, stream, session.Config{
		Group: group.Group, Cert: id.Cert.DER, Identity: id.Identity, Roster: func() *pki.Roster { return group.Roster },
		Now: time.Now, Nonces: session.NewNonceCache(), Log: log,
	})
	if err != nil {
		return nil, err
	}
	go func() { // ends with the connection; close waits for it
		defer close(m.drained)
		for {
			if _, err := m.conn.Receive(); err != nil {
				return
			}
		}
	}()
	m.topic, err = topic.Join(ctx, m.host, topic.Config{
		Group: group.Group.ID, Members: idleMembers, Admit: group.Roster.Admits, Log: log,
	})
	if err != nil {
		return nil, err
	}
	_, err = overlay.Reserve(ctx, m.host, relay.ID)
	return m, err
}

func (m *idle) close() error {
	var errs []error
	if m.topic != nil {
		errs = append(errs, m.topic.Close())
	}
	if m.conn != nil {
		errs = append(errs, m.conn.Close())
		<-m.drained
	}
	if m.host != nil {
		errs = append(errs, m.host.Close())
	}
	return errors.Join(errs...)
}

// connectIdle connects the idle members of a group to its relay node.
func connectIdle(group *pkitest.Group) func(ctx context.Context, address string) (func() error, error) {
	return func(ctx context.Context, address string) (func() error, error) {
		relay, err := peer.AddrInfoFromString(address)
		if err != nil {
			return nil, err
		}
		return connectAll(func(i int) (func() error, error) {
			m, err := newIdle(ctx, group, group.Roster.Members[i].Role, *relay)
			if err != nil {
				return nil, err
			}
			return m.close, nil
		})
	}
}

func connectRaw(ctx context.Context, address string) (func() error, error) {
	hub, err := peer.AddrInfoFromString(address)
	if err != nil {
		return nil, err
	}
	return connectAll(func(int) (func() error, error) {
		m, err := baseline.NewMember(ctx, *hub, idleMembers)
		if err != nil {
			return nil, err
		}
		return m.Close, nil
	})
}

// connectAll connects all members, each by a call of connect, and returns what disconnects them.
func connectAll(connect func(i int) (disconnect func() error, err error)) (func() error, error) {
	var ends []func() error
	end := func() error {
		var errs []error
		for _, f := range ends {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	for i := range idleMembers {
		f, err := connect(i)
		if err != nil {
			return nil, errors.Join(err, end())
		}
		ends = append(ends, f)
	}
	return end, nil
}

func BenchmarkRelayMemory(b *testing.B) {
	group := pkitest.Fast(b, idleMembers)
	home := group.Home()
	for b.Loop() {
		ours, err := memory(b.Context(), "relay", home, connectIdle(group))
		if err != nil {
			b.Fatal(err)
		}
		raw, err := memory(b.Context(), "raw", "", connectRaw)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ours/1024, "conclave-KiB/member")
		b.ReportMetric(raw/1024, "raw-KiB/member")
		b.ReportMetric(ours/raw, "times-raw")
	}
}
