// Command minimal is the least that a process of this kind can do: it is what the cold start of a member is measured
// against.
//
//	minimal hub                    serves on a free loopback port, prints its address, runs until it is killed
//	minimal member FOLDER ADDRESS  starts a host, dials the hub, opens one stream, does two RSA-3072 unwraps
//	minimal waits FOLDER ADDRESS   the same, and waits as often as a member of a group has to, one thing after the other
//
// What a member of a group has to wait for, whatever it computes meanwhile, is counted in flushes and roundTrips: a floor
// for its start. The real one is higher by what it has to compute.
//
// A member reads its RSA key and two wrapped texts from FOLDER (key.der, one.bin, two.bin), builds its libp2p host with the
// very same options as Conclave's member, and prints "done" at the end. It checks nothing and agrees on nothing.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"conclave/overlay"
)

const protocol = "/conclave-minimal/1.0.0"

const (
	// flushes is how often a member's start waits for the disk, its own or the relay node's: the new state file and its
	// folder, its instance, its contribution, the share in the mailbox, the completed key.
	flushes = 6
	// roundTrips is how often it waits for the hub, beyond the one stream of every member: the session's finish, the
	// topic's mesh, the requests, opening and announcements, the shares.
	roundTrips = 5
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "minimal: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "hub":
		return hub()
	case len(args) == 3 && args[0] == "member":
		return member(args[1], args[2], func(context.Context, host.Host, peer.ID) error { return nil })
	case len(args) == 3 && args[0] == "waits":
		return member(args[1], args[2], waitAll)
	}
	return errors.New("usage: minimal hub | minimal member|waits FOLDER ADDRESS")
}

func newHost(listen ...ma.Multiaddr) (host.Host, error) {
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return overlay.NewHost(overlay.HostConfig{Identity: identity, Listen: listen, Peers: 4, Log: slog.New(slog.DiscardHandler)})
}

func hub() error {
	h, err := newHost(ma.StringCast("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return err
	}
	h.SetStreamHandler(protocol, func(s network.Stream) {
		_, _ = io.Copy(s, s) // an echo
		_ = s.Close()
	})
	fmt.Printf("%s/p2p/%s\n", h.Addrs()[0], h.ID())
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent goes away
	return errors.Join(err, h.Close())
}

// waitAll waits for the disk and for the hub, one thing after the other.
func waitAll(ctx context.Context, h host.Host, hub peer.ID) error {
	f, err := os.CreateTemp("", "minimal")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	for range flushes {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	for range roundTrips {
		if err := exchange(ctx, h, hub); err != nil {
			return err
		}
	}
	return nil
}

func member(dir, address string, also func(context.Context, host.Host, peer.ID) error) error {
	der, err := os.ReadFile(filepath.Join(dir, "key.der"))
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return err
	}
	h, err := newHost()
	if err != nil {
		return err
	}
	to, err := peer.AddrInfoFromString(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Connect(ctx, *to); err != nil {
		return err
	}
	if err := exchange(ctx, h, to.ID); err != nil {
		return err
	}
	if err := also(ctx, h, to.ID); err != nil {
		return err
	}
	for _, name := range []string{"one.bin", "two.bin"} {
		wrapped, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if _, err := rsa.DecryptOAEP(sha256.New(), nil, key, wrapped, nil); err != nil {
			return err
		}
	}
	fmt.Println("done")
	return h.Close()
}

// exchange sends one small text over a stream and waits for its echo.
func exchange(ctx context.Context, h host.Host, to peer.ID) error {
	s, err := h.NewStream(ctx, to, protocol)
	if err != nil {
		return err
	}
	if _, err := s.Write(make([]byte, 64)); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, s)
	return err
}
