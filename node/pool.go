package node

import (
	"context"
	"runtime"
	"sync"
)

// maxJobs bounds the RSA work that waits. The machine's own limits keep it far below.
const maxJobs = 1 << 16

// pool does RSA work beside the engine: wrapping and, twenty times as costly, unwrapping shares.
type pool struct {
	mu     sync.Mutex
	jobs   []func()
	wake   *sync.Cond
	closed bool
}

func newPool() *pool {
	p := &pool{}
	p.wake = sync.NewCond(&p.mu)
	return p
}

// add queues a job and reports whether there was room. It never blocks.
func (p *pool) add(job func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.jobs) >= maxJobs {
		return false
	}
	p.jobs = append(p.jobs, job)
	p.wake.Signal()
	return true
}

// run works until ctx ends; what is queued then is dropped.
func (p *pool) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closed, p.jobs = true, nil
		p.wake.Broadcast()
	})
	defer stop()
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(p.work)
	}
	group.Wait()
}

func (p *pool) work() {
	for {
		p.mu.Lock()
		for len(p.jobs) == 0 && !p.closed {
			p.wake.Wait()
		}
		if p.closed {
			p.mu.Unlock()
			return
		}
		job := p.jobs[0]
		p.jobs[0] = nil
		p.jobs = p.jobs[1:]
		p.mu.Unlock()
		job()
	}
}
