package cli

import (
	"os"
	"runtime"
	"runtime/debug"
)

// startHeap is GOGC until the first collection: it begins when the heap has 32 MiB (8 times the runtime's 4 MiB).
const startHeap = 800

// postponeCollection lets a start allocate what it needs before anything is collected: little of that is garbage, and
// looking through it three or four times is a tenth of all that a start does. With the first collection, after two
// minutes at the latest, the usual pace begins. Whoever sets GOGC decides.
func postponeCollection() {
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	type sentinel struct{ _ *byte }
	usual := debug.SetGCPercent(startHeap)
	runtime.AddCleanup(&sentinel{}, func(percent int) { debug.SetGCPercent(percent) }, usual)
}
