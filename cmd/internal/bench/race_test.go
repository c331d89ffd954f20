//go:build race

package bench

// Under the race detector everything takes ten times as long: what is looked for there are races, not limits.
const (
	manyMembers = 32
	hubMessages = 100
)
