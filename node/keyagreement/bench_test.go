package keyagreement

import (
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"conclave/internal/baseline"
	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

// BenchmarkAgreement measures a whole first key of N members in one process on one goroutine, real cryptography, beside
// the RSA operations that it cannot do without: N(N-1) wraps and as many unwraps. The metric "times" is their ratio.
//
//	go test -run - -bench Agreement -benchtime 1x ./node/keyagreement
func BenchmarkAgreement(b *testing.B) {
	keys := testKeys(b, 2)
	for _, n := range []int{3, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			everybody, label := make([]*rsa.PrivateKey, n), make([]byte, 128)
			for i := range everybody {
				everybody[i] = keys[i%len(keys)]
			}
			var agreed, alone time.Duration
			for b.Loop() {
				start := time.Now()
				agreeAll(b, keys, n)
				agreed += time.Since(start)
				start = time.Now()
				if err := baseline.RSARound(everybody, 64, label); err != nil {
					b.Fatal(err)
				}
				alone += time.Since(start)
			}
			b.ReportMetric(float64(agreed.Milliseconds())/float64(b.N), "ms/agreement")
			b.ReportMetric(float64(alone.Milliseconds())/float64(b.N), "ms/RSA-alone")
			b.ReportMetric(float64(agreed)/float64(alone), "times")
		})
	}
}

// agreeAll brings n members to one session.
func agreeAll(b *testing.B, keys []*rsa.PrivateKey, n int) {
	var roles []wire.Role
	for i := range n {
		roles = append(roles, wire.Role(fmt.Sprintf("m%02d", i)))
	}
	p, r := newParty(b, keys, roles...)
	p.quiet = true
	for _, role := range roles {
		c := p.people[role].config(r)
		p.records[role] = map[string][]byte{}
		m, out, err := New(c, p.now)
		if err != nil {
			b.Fatal(err)
		}
		p.live[role] = m
		p.perform(role, out)
	}
	for _, role := range roles {
		p.step(role, event.RelayUp{Database: wire.DatabaseID{1}})
	}
	p.settle()
	p.agree(roles...)
}
