package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"conclave/node"
	"conclave/overlay/wire"

	tea "charm.land/bubbletea/v2"
)

// Node is what the screen asks of a member; *node.Node is one.
type Node interface {
	SendWait(ctx context.Context, text string) (wire.MessageID, error)
	Rekey(ctx context.Context) error
	Who(ctx context.Context) (node.Who, error)
	Inspect(ctx context.Context) (node.Inspection, error)
	Verifications(ctx context.Context) ([]node.Verification, error)
	Verify(ctx context.Context, role wire.Role, code string, right bool) error
}

// Events is where what happens comes from; *node.Subscription is one.
type Events interface {
	Next(ctx context.Context) (node.Event, bool)
}

// Config is what a screen is made of. Node, Events, Self, In and Out are needed.
type Config struct {
	Node   Node
	Events Events
	// Self and Group are who this member is and where, known before there is any connection.
	Self  wire.Role
	Group string
	// ShowKey shows Kabc itself, for a demonstration.
	ShowKey bool
	// Logs is what the process logs meanwhile. Nil shows none.
	Logs *Logs
	// Leave is waited for when the user wants to leave, so that what is queued can be sent; asked a second time, the user
	// leaves without. Its error is Run's. Nil waits for nothing.
	Leave func(ctx context.Context) error
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// In and Out are the terminal.
	In  io.Reader
	Out io.Writer
}

const (
	// maxBatch is how many events are shown at once: a flood costs one drawing for each so many.
	maxBatch = 512
	// askTimeout is how long the node may take to say how things stand.
	askTimeout = 5 * time.Second
)

// eventsMsg is a batch of what happened.
type eventsMsg []node.Event

// closedMsg says that there will be no more events.
type closedMsg struct{}

// Run shows the screen until the user leaves, the events end, or ctx ends. None of these is an error.
func Run(ctx context.Context, cfg Config) error { return run(ctx, cfg) }

func run(ctx context.Context, cfg Config, options ...tea.ProgramOption) error {
	ctx, cancel := context.WithCancel(ctx)
	m := newModel(ctx, cfg)
	options = append(options, tea.WithInput(cfg.In), tea.WithOutput(cfg.Out), tea.WithoutSignalHandler())
	p := tea.NewProgram(m, options...)
	stop := context.AfterFunc(ctx, p.Quit)

	var pumps sync.WaitGroup
	arrived := make(chan node.Event, maxBatch)
	pumps.Go(func() { fetch(ctx, cfg.Events, arrived) })
	pumps.Go(func() { batch(arrived, p.Send) })
	if cfg.Logs != nil {
		pumps.Go(func() { cfg.Logs.pump(ctx, func(lines []logLine) { p.Send(lines) }) })
	}
	_, err := p.Run()
	stop()
	cancel()
	pumps.Wait()
	if errors.Is(err, tea.ErrProgramPanic) {
		return fmt.Errorf("the screen failed: %w", err)
	}
	if err != nil {
		return fmt.Errorf("showing the screen: %w", err)
	}
	return m.left
}

// fetch passes events on until there are none or ctx ends.
func fetch(ctx context.Context, from Events, to chan<- node.Event) {
	defer close(to)
	for {
		e, ok := from.Next(ctx)
		if !ok {
			return
		}
		select {
		case to <- e:
		case <-ctx.Done():
			return
		}
	}
}

// batch hands over what has arrived, all at once, and says when it ends.
func batch(arrived <-chan node.Event, send func(tea.Msg)) {
	for e := range arrived {
		events := eventsMsg{e}
		for more := true; more && len(events) < maxBatch; {
			select {
			case e, ok := <-arrived:
				if more = ok; ok {
					events = append(events, e)
				}
			default:
				more = false
			}
		}
		send(events)
	}
	send(closedMsg{})
}
