package bench

import (
	"crypto/sha256"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// On a machine that is shared with others, processors stop or slow down for milliseconds, and no counter tells it: a loop
// then does a tenth of what it did. Such moments decide a p99, whoever is measured in them. So a thread on each processor,
// with a real-time priority that this process's own work cannot hold up, times the same small piece of work over and over.

const (
	probeEvery = 500 * time.Microsecond
	// probeBytes are hashed by each probe: about 4 µs, next to which what wakes it is small. Arbitrary.
	probeBytes = 4096
)

// steady starts to watch the machine's processors. The function that it returns ends that and tells when they were slow.
// It is nil where nobody may watch: that takes a privilege.
func steady() (end func() slowTimes) {
	stop := make(chan struct{})
	found := make(chan []probe)
	started := make(chan error)
	for cpu := range runtime.NumCPU() {
		go func() { found <- watchProcessor(cpu, started, stop) }()
	}
	may := true
	for range runtime.NumCPU() {
		may = <-started == nil && may
	}
	end = func() slowTimes {
		close(stop)
		var all []probe
		for range runtime.NumCPU() {
			all = append(all, <-found...)
		}
		return slowIn(all)
	}
	if !may {
		end()
		return nil
	}
	return end
}

// watchProcessor probes one processor until stop is closed. Its thread ends with it.
func watchProcessor(cpu int, started chan<- error, stop <-chan struct{}) (all []probe) {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	err := unix.SchedSetaffinity(0, &set)
	if err == nil {
		err = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	}
	started <- err
	if err != nil {
		return nil
	}
	var data [probeBytes]byte
	last := time.Now()
	for {
		select {
		case <-stop:
			return all
		default:
		}
		sleep := unix.NsecToTimespec(int64(probeEvery))
		_ = unix.Nanosleep(&sleep, nil) // a signal may end it early
		begun := time.Now()
		sum := sha256.Sum256(data[:])
		data[0] = sum[0]
		now := time.Now()
		all = append(all, probe{from: last, to: now, work: now.Sub(begun)})
		last = now
	}
}
