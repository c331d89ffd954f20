//go:build race

package simlab

// reduced says that the race detector makes everything slow: a few runs of each case are enough then.
const reduced = true
