package serve

import (
	"context"
	"time"

	"conclave/overlay/wire"
	"conclave/relaynode/door"
)

// Verdict is what a handler found: what to reply, or why not.
type Verdict struct {
	Reply  wire.Message     // nil: nothing to say
	Code   wire.RefusalCode // not 0: refused, and Reply is nil
	Text   string           // for the peer, with Code
	Reason error            // for the log only, with Code
}

// Conn is a session after its handshake; session.Conn is one.
type Conn interface {
	Receive() (wire.Message, error)
	Send(context.Context, wire.Message) error
}

// Loop serves one session. Every field is static.
type Loop struct {
	// Conn is the session.
	Conn Conn
	// Rates bound what its peer may ask for.
	Rates *door.Rates
	// Handle does what a message asks for.
	Handle func(context.Context, wire.Message) Verdict
	// Refused counts and logs a refusal. what names the request.
	Refused func(what string, v Verdict)
	// Numbered has refusals of messages without a number go unsaid: their sender waits for no answer.
	Numbered bool
	// Patience is how long a message may take to be written.
	Patience time.Duration
	// TooSlow returns the error for a message that took longer. Nil: the error is the context's.
	TooSlow func() error
}

// Listen reads requests and answers each, until the stream ends or an answer cannot be written.
func (l *Loop) Listen(ctx context.Context) error {
	for {
		msg, err := l.Conn.Receive()
		if err != nil {
			return err
		}
		v := Verdict{Code: wire.RefusedLimit, Text: "too many requests"}
		if l.Rates.Request(ctx) {
			v = l.Handle(ctx, msg)
		}
		if err := l.answer(ctx, msg, v); err != nil {
			return err
		}
	}
}

// answer is the one place that replies to a request, and has it logged and counted.
func (l *Loop) answer(ctx context.Context, msg wire.Message, v Verdict) error {
	if v.Code != 0 {
		l.Refused(requestName(msg), v)
		seq := seqOf(msg)
		if l.Numbered && seq == 0 {
			return nil
		}
		v.Reply = &wire.Refusal{Seq: seq, Code: v.Code, Text: v.Text}
	}
	if v.Reply == nil {
		return nil
	}
	return l.Send(ctx, v.Reply)
}

// Send writes one message.
func (l *Loop) Send(ctx context.Context, msg wire.Message) error {
	limited, cancel := context.WithTimeout(ctx, l.Patience)
	defer cancel()
	err := l.Conn.Send(limited, msg)
	if err != nil && l.TooSlow != nil && ctx.Err() == nil && limited.Err() != nil {
		return l.TooSlow()
	}
	return err
}
