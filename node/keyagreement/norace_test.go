//go:build !race

package keyagreement

const raceEnabled = false
