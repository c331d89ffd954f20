package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"conclave/overlay/baseline"
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

func connectRaw(ctx context.Context, address string) (func() error, error) {
	to, err := peer.AddrInfoFromString(address)
	if err != nil {
		return nil, err
	}
	var members []*baseline.Member
	end := func() error {
		var errs []error
		for _, m := range members {
			errs = append(errs, m.Close())
		}
		return errors.Join(errs...)
	}
	for range idleMembers {
		m, err := baseline.NewMember(ctx, *to, idleMembers)
		if err != nil {
			return nil, errors.Join(err, end())
		}
		members = append(members, m)
	}
	return end, nil
}

func BenchmarkRelayMemory(b *testing.B) {
	group := pkitest.Fast(b, idleMembers)
	home := group.Home()
	connectReal := func(ctx context.Context, address string) (func() error, error) {
		relay, err := ma.NewMultiaddr(address)
		if err != nil {
			return nil, err
		}
		c := &conclave{}
		if err := c.start(ctx, group, []ma.Multiaddr{relay}, func(int) string { return "" }); err != nil {
			return nil, errors.Join(err, c.close())
		}
		return c.close, nil
	}
	for b.Loop() {
		ours, err := memory(b.Context(), "relay", home, connectReal)
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
