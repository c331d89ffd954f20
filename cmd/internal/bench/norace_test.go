//go:build !race

package bench

const (
	fewMembers  = 24
	manyMembers = 100
	hubMessages = 600 // half a minute at 20 a second
)
