//go:build !linux

package bench

// steady cannot watch processors here.
func steady() (end func() slowTimes) { return nil }
