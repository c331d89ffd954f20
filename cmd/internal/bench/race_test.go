//go:build race

package bench

// Under the race detector everything takes ten times as long: what is looked for there are races, not limits.
const (
	fewMembers  = 8
	manyMembers = 16
	hubMessages = 64
)
