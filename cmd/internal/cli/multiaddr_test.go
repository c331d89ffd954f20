package cli_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"conclave/cmd/internal/cli"
)

const somePeer = "/p2p/12D3KooWSQMrCPJXiFnmWgiD8YmsDWimZS9FyyDf88mMUk7jNKXv"

// TestAddressesAsPeopleWriteThem: HOST:PORT is TCP and QUIC, a multiaddr is itself.
func TestAddressesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"203.0.113.5:4001":                {"/ip4/203.0.113.5/tcp/4001", "/ip4/203.0.113.5/udp/4001/quic-v1"},
		"[2001:db8::1]:4001":              {"/ip6/2001:db8::1/tcp/4001", "/ip6/2001:db8::1/udp/4001/quic-v1"},
		"[::]:0":                          {"/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"},
		"[fe80::1%eth0]:1":                {"/ip6zone/eth0/ip6/fe80::1/tcp/1", "/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1"},
		"relay.example:443":               {"/dns/relay.example/tcp/443", "/dns/relay.example/udp/443/quic-v1"},
		"localhost:4001":                  {"/dns/localhost/tcp/4001", "/dns/localhost/udp/4001/quic-v1"},
		"192.0.2.1:4001" + somePeer:       {"/ip4/192.0.2.1/tcp/4001" + somePeer, "/ip4/192.0.2.1/udp/4001/quic-v1" + somePeer},
		"/ip4/192.0.2.1/tcp/1":            {"/ip4/192.0.2.1/tcp/1"},
		"/dns4/example.org/udp/2/quic-v1": {"/dns4/example.org/udp/2/quic-v1"},
	} {
		got, err := cli.Multiaddrs("--at", []string{text}, "advice")
		var texts []string
		for _, a := range got {
			texts = append(texts, a.String())
		}
		if err != nil || !slices.Equal(texts, want) {
			t.Errorf("%s: got %q, %v", text, texts, err)
		}
	}
	for _, text := range []string{"", "nowhere", "4001", ":4001", "192.0.2.1", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:65536", "::1:4001", "a b:1/p2p/x", "/ip4/x/tcp/1", "192.0.2.1:1/p2p/x"} {
		var hint interface{ Hint() string }
		_, err := cli.Multiaddrs("--at", []string{"192.0.2.1:4001", text}, "advice")
		if err == nil || !strings.HasPrefix(err.Error(), `--at "`+text+`" is not an address: `) || !errors.As(err, &hint) || hint.Hint() != "advice" {
			t.Errorf("%q: the error is %v", text, err)
		}
	}
}
