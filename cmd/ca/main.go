// Command ca is the tool of a group's keeper: it decides who is a member.
//
//	go run ./cmd/ca init                          a group "local" with A, B and C, all keys on this machine
//	go run ./cmd/ca show                          who is in the group, until when
//	go run ./cmd/ca export --role B --to DIR      what B's machine needs, and nothing more
//	go run ./cmd/ca export --relay --to DIR       likewise for the relay node
//
// Where B's keys shall never leave B's machine, B asks and the keeper answers:
//
//	B:      go run ./cmd/ca request --role B > b.req
//	keeper: go run ./cmd/ca sign b.req > b.pem
//	B:      go run ./cmd/ca import b.pem
//
// And later:
//
//	go run ./cmd/ca revoke B                      a new roster without B
//	go run ./cmd/ca renew                         new certificates and a new roster, for another year
//	go run ./cmd/ca roster --out FILE             the roster, to hand to a relay node
//
// What a script reads is on stdout; advice is on stderr. It is the only command that links the CA's code
// (pki/authority) besides cmd/demo.
package main

import (
	"github.com/spf13/cobra"

	"conclave/cmd/internal/cli"
)

func main() { cli.Main("ca", newCommand()) }

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make groups, decide who is a member, hand out identities",
	}
	cmd.AddCommand(
		newInit(), newShow(), newExport(),
		newRequest(), newSign(), newImport(),
		newRevoke(), newRoster(), newRenew(),
	)
	return cmd
}
