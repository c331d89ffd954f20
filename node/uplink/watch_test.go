package uplink

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestNetWatch kicks when addresses or routes change, when the clock runs away, and when the machine slept, and at no other
// time.
func TestNetWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		var name atomic.Pointer[string]
		first, second := "192.0.2.1/24 via 192.0.2.254", "192.0.2.1/24 via 192.0.2.253"
		name.Store(&first)
		w := newNetWatch(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, false)
		w.look = func() string { return *name.Load() }
		kick := make(chan struct{}, 1)
		remove := w.add(kick)
		ctx, cancel := context.WithCancel(t.Context())
		go w.run(ctx)
		kicked := func() bool {
			time.Sleep(2 * networkEvery) // of simulated time
			synctest.Wait()
			select {
			case <-kick:
				return true
			default:
				return false
			}
		}
		if kicked() {
			t.Error("kicked without a reason")
		}
		name.Store(&second)
		if !kicked() {
			t.Error("another default route is not noticed")
		}
		ahead.Store(int64(8 * time.Hour))
		if !kicked() {
			t.Error("a machine that slept for eight hours is not noticed")
		}
		ahead.Store(0)
		if !kicked() {
			t.Error("a clock set back is not noticed")
		}
		ahead.Store(int64(time.Second))
		if kicked() {
			t.Error("a clock that was set by a second is a reason")
		}
		remove()
		name.Store(&first)
		if kicked() {
			t.Error("somebody who left is still kicked")
		}
		cancel()
		synctest.Wait()
	})
}

// TestMachineNetwork names what the machine has: its loopback address, and its default routes as ip prints them.
func TestMachineNetwork(t *testing.T) {
	have, err := machineAddrs()
	if err != nil || !have[netip.MustParseAddr("127.0.0.1")] {
		t.Fatalf("addresses %v, %v", have, err)
	}
	name := machineNetwork()
	if !strings.Contains(name, "127.0.0.1/8") || name != machineNetwork() {
		t.Errorf("the network is named %q", name)
	}
	shown, err := exec.Command("ip", "-4", "route", "show", "default").Output()
	if err != nil {
		return // no iproute2, so nothing to compare with
	}
	_, routes, _ := strings.Cut(name, " via ")
	if routes == "" && strings.HasPrefix(string(shown), "default ") {
		t.Errorf("no default route is known, ip shows %q", shown)
	}
}
