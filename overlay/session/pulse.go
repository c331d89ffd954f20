package session

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// pulse reads a stream and keeps the time at which bytes last came. Once it has begun it moves the read deadline with
// them: a large message over a slow line is no silence.
type pulse struct {
	// Static after begin.
	stream  network.Stream
	silence time.Duration // 0 before begin
	born    time.Time

	deadline time.Time    // as it was set last; owned by whoever reads
	heard    atomic.Int64 // nanoseconds since born
	unheard  atomic.Int64 // bytes written since
}

// begin is called when the handshake is done, which has deadlines of its own.
func (p *pulse) begin(silence time.Duration) { p.silence, p.born = silence, time.Now() }

// Read implements io.Reader.
func (p *pulse) Read(b []byte) (int, error) {
	if p.silence > 0 {
		// Moving a deadline costs a timer, so it is moved when an eighth of it has gone.
		if to := p.last().Add(p.silence); to.Sub(p.deadline) > p.silence/8 {
			p.deadline = to
			if err := p.stream.SetReadDeadline(to); err != nil {
				return 0, err
			}
		}
	}
	n, err := p.stream.Read(b)
	if n > 0 && p.silence > 0 {
		p.heard.Store(int64(time.Since(p.born)))
		p.unheard.Store(0)
	}
	return n, err
}

func (p *pulse) last() time.Time { return p.born.Add(time.Duration(p.heard.Load())) }
