//go:build linux

package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// space is a network namespace: the inside of a host, a router or the public segment.
type space struct {
	lab  *Lab
	name string
	fd   int // the namespace itself, for this process
}

// newSpace makes a network namespace with a loopback interface.
func (l *Lab) newSpace(name string, forwards bool) *space {
	l.t.Helper()
	s := &space{lab: l, name: name}
	l.must(l.thread.command("", "ip", "netns", "add", name))
	l.must(l.thread.do(func() (err error) {
		s.fd, err = unix.Open(filepath.Join(names, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	}))
	l.spaces = append(l.spaces, s)
	l.must(s.do(func() error { return s.settle(forwards) }))
	s.ip("link set lo up")
	return s
}

// settle sets what the kernel would otherwise decide by itself, or inherit from the machine.
func (s *space) settle(forwards bool) error {
	on := map[bool]string{true: "1", false: "0"}
	for _, set := range [][2]string{
		{"ipv4/ip_forward", on[forwards]},
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv6/conf/all/forwarding", on[forwards]},
		{"ipv6/conf/all/disable_ipv6", on[!s.lab.v6]},
		{"ipv6/conf/default/disable_ipv6", on[!s.lab.v6]},
		{"ipv6/conf/all/accept_dad", "0"},
		{"ipv6/conf/default/accept_dad", "0"},
		{"ipv6/conf/all/accept_ra", "0"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"bridge/bridge-nf-call-iptables", "0"},
		{"bridge/bridge-nf-call-ip6tables", "0"},
	} {
		err := os.WriteFile("/proc/sys/net/"+set[0], []byte(set[1]), 0)
		if err != nil && (!os.IsNotExist(err) || strings.HasPrefix(set[0], "ipv4")) {
			return err // a kernel without IPv6, or without netfilter on bridges, lacks some
		}
	}
	return nil
}

// do runs f in the namespace: the sockets that f opens are there, and stay there.
func (s *space) do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Setns(s.fd, unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("entering %s: %w", s.name, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// ip runs commands of ip in the namespace.
func (s *space) ip(commands ...string) {
	s.lab.t.Helper()
	s.lab.must(s.lab.thread.command(strings.Join(commands, "\n")+"\n", "ip", "-netns", s.name, "-batch", "-"))
}

// nft replaces a table in the namespace; with an empty body it removes it.
func (s *space) nft(family, table, body string) {
	s.lab.t.Helper()
	script := fmt.Sprintf("table %[1]s %[2]s {}\ndelete table %[1]s %[2]s\n", family, table)
	if body != "" {
		script += fmt.Sprintf("table %s %s {\n%s\n}\n", family, table, body)
	}
	s.lab.must(s.lab.thread.command(script, "ip", "netns", "exec", s.name, "nft", "-f", "-"))
}
