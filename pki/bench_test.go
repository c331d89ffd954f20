package pki_test

import (
	"fmt"
	"testing"

	"conclave/pki"
	"conclave/pki/pkitest"
)

func BenchmarkOpenRoster(b *testing.B) {
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			g := pkitest.Fast(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pki.OpenRoster(g.Group, g.Roster.Envelope, pkitest.Start); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(g.Roster.Envelope)), "bytes")
		})
	}
}
