package courier

import (
	"context"
	"runtime"
	"sync"
)

// maxJobs bounds the RSA work that waits. The machine's own limits keep it far below.
const maxJobs = 1 << 16

// pool does RSA work beside the owner's goroutine: wrapping shares and, twenty times as costly, unwrapping them. What is quick goes
// first: others wait for what is wrapped here, and begin their own long work with it.
type pool struct {
	mu     sync.Mutex
	quick  []func()
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
func (p *pool) add(job func()) bool { return p.queue(&p.jobs, job) }

// addQuick is add for a job that goes before the others.
func (p *pool) addQuick(job func()) bool { return p.queue(&p.quick, job) }

func (p *pool) queue(jobs *[]func(), job func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(*jobs) >= maxJobs {
		return false
	}
	*jobs = append(*jobs, job)
	p.wake.Signal()
	return true
}

// next returns the job whose turn it is, or nil. The caller holds mu.
func (p *pool) next() (job func()) {
	for _, jobs := range []*[]func(){&p.quick, &p.jobs} {
		if len(*jobs) > 0 {
			job, (*jobs)[0] = (*jobs)[0], nil
			*jobs = (*jobs)[1:]
			return job
		}
	}
	return nil
}

// run works until ctx ends; what is queued then is dropped.
func (p *pool) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closed, p.quick, p.jobs = true, nil, nil
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
		job := p.next()
		for job == nil && !p.closed {
			p.wake.Wait()
			job = p.next()
		}
		p.mu.Unlock()
		if job == nil {
			return
		}
		job()
	}
}
