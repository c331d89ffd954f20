// Package netlab builds small internets on this machine's own kernel, for tests that run the real programs in them.
//
//	            public segment 11.0.0.0/16, 2600:1::/64
//	────┬──────────────┬──────────────┬──────────────┬────
//	 [relay]       (router A)     (router B)     (router C)      each box is a network namespace
//	                   │              │              │           each line is a veth pair into a bridge
//	             192.168.1.0/24  192.168.2.0/24  (inner router)
//	                   │              │              │
//	                  [A]            [B]       192.168.4.0/24 ── [C]
//
// A [Lab] has a public [Segment], and [Router]s, each with a private segment behind it and a [NAT] of a kind that the
// test chooses. A [Host] is a machine on a segment: it starts processes ([Host.Start]), loses packets, is cut off, moves to
// another segment and changes its address, while its processes run on.
//
// What it guarantees:
//
//   - No packet leaves the namespaces: nothing in a lab is connected with an interface of the machine. The addresses
//     look public, because hole punching takes no others, and lead nowhere.
//   - A lab does not outlive its test, whatever ends it. The namespaces have names ("ip netns") in a mount namespace of one
//     thread of the test, which the kernel takes down with that thread; and every process in the lab is killed by the
//     kernel when that thread ends. So nothing is left behind, also when the test is killed with SIGKILL, and nothing
//     has to be looked for and removed at the next start.
//   - Labs do not see each other: any number may run at once.
//
// What it does not do: packets are not delayed (the kernels that the tests run on have no netem), so a round trip takes
// microseconds, and the interfaces have no jitter.
//
// It needs root, and the programs ip, tc and nft. Where they are missing, [New] skips the test with the reason; with CI=true in
// the environment that is a failure. To look into a lab while its test runs, take the command that New logs:
//
//	nsenter --mount=/proc/PID/task/TID/ns/mnt ip netns exec A ss -tunp
//
// It exists for tests, on Linux only, and nothing but tests may import it.
package netlab
