//go:build !race

package simlab

const reduced = false
