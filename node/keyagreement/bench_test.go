package keyagreement

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

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
			var agreed, alone time.Duration
			for b.Loop() {
				start := time.Now()
				agreeAll(b, keys, n)
				agreed += time.Since(start)
				start = time.Now()
				rsaAlone(b, keys, n)
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
		p.step(role, RelayUp{wire.DatabaseID{1}})
	}
	p.settle()
	p.agree(roles...)
}

// rsaAlone does the RSA operations of n members and nothing else.
func rsaAlone(b *testing.B, keys []*rsa.PrivateKey, n int) {
	plain, label := make([]byte, 64), make([]byte, 128)
	for i := range n * (n - 1) {
		key := keys[i%len(keys)]
		c, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, plain, label)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := rsa.DecryptOAEP(sha256.New(), nil, key, c, label); err != nil {
			b.Fatal(err)
		}
	}
}
