package delivery

import (
	"io"
	"log/slog"
	"time"

	"conclave/node/frame"
	"conclave/overlay/wire"
)

// Config is what a Machine is made of. All fields are given.
type Config struct {
	// Self is this member's role.
	Self wire.Role
	// Members is how many members the roster has: see Roster.
	Members int
	// Shelf says that this member keeps batches for others, so that it gets by without a relay node.
	Shelf bool
	// LeaveMessages leaves frames of others unopened.
	LeaveMessages bool
	// Shown are the messages shown last, oldest first; MaxShown is how many are remembered.
	Shown    []Shown
	MaxShown int
	// Sign returns a signed batch of frames (SPEC 7.2).
	Sign func(frames [][]byte) ([]byte, error)
	// Number draws the number of a request to a relay node, which is used once.
	Number func() uint64
	// Awaits reports whether the key agreement may still complete an epoch before the one with that number.
	Awaits func(epoch uint64) bool
	// LineTime is how long so many bytes are on their way over the slowest line.
	LineTime func(bytes int) time.Duration
	// Rand is the source of message IDs and of the spread of acknowledgements.
	Rand   io.Reader
	Timing Timing
	Log    *slog.Logger
}

// Timing is how long the machine waits.
type Timing struct {
	StoreAfter   time.Duration // until a batch without acknowledgement goes over the session stream
	AckBase      time.Duration // shortest time for which acknowledgements gather
	AckPerMember time.Duration // the same for each member, where that is more
	GapGrace     time.Duration // for a gap to fill by itself
	GapGiveUp    time.Duration // for somebody to come who can fill a gap
	DoubtAfter   time.Duration // for a topic that carries nothing
}

// Message is a text on its way.
type Message struct {
	Seq  int64 // its place among this member's messages
	ID   wire.MessageID
	Text string
	At   time.Time
}

// Shown names a message that was shown.
type Shown struct {
	Sender wire.Role
	ID     wire.MessageID
}

// Source is somebody who can be asked for batches.
type Source struct {
	ID    string    // another one after it was gone for a while
	Peer  string    // peer ID, for what it says of its backlog
	Role  wire.Role // of a member; empty for a relay node
	Relay bool
}

// Input is what happens to the machine.
type Input interface{ input() }

// Settle is given after everything else that happened at one time, and when Deadline has come: it does what is due.
type Settle struct {
	Date        time.Time // of what is sealed, by the member's clock
	Reaches     bool      // the topic has somebody in it
	Relay       bool      // a relay node takes requests
	Unheard     int       // bytes that were written to it since it said anything
	ScreensFull bool      // nothing more is to be shown for now
}

// Say has messages sent. Those with a copy on disk are not to be written again.
type Say struct {
	Messages []Message
	OnDisk   bool
}

// Saved says that a message is on disk here.
type Saved struct{ ID wire.MessageID }

// Flush asks for Flushed with the same Ref once everything said before is acknowledged.
type Flush struct{ Ref int }

// Hurry has everything that is not acknowledged stored now.
type Hurry struct{}

// Received is a verified batch of frames that came over the topic.
type Received struct{ Batch wire.Batch }

// Heads is what somebody's backlog holds: all of it, or what changed.
type Heads struct {
	Peer string
	List []wire.Head
	Full bool
}

// Fetched answers an Ask. The batches are verified.
type Fetched struct {
	Source  string
	Seq     uint64
	Batches []wire.Batch
	More    bool
}

// FetchRefused says that a source refuses an Ask.
type FetchRefused struct {
	Source string
	Seq    uint64
}

// NotAsked says that an Ask found no room on its way out.
type NotAsked struct{ Seq uint64 }

// Sources are all who can be asked for batches now, relay nodes in the order in which they are asked.
type Sources struct{ List []Source }

// RelayUp says that another relay node takes requests now.
type RelayUp struct{ NewDatabase bool }

// Stored lists batches that a relay node holds durably, and those that it will not have.
type Stored struct {
	IDs     []wire.BatchID
	Refused []wire.RefusedBatch
}

// NotPublished says that a batch could not be published.
type NotPublished struct{ ID wire.BatchID }

// HandedOver says that a Store is on its way.
type HandedOver struct{ IDs []wire.BatchID }

// Shelved says that a batch of this member is on the shelf, where others find it.
type Shelved struct{ ID wire.BatchID }

// Unshelved says that a batch of this member had to make room on the shelf.
type Unshelved struct{ ID wire.BatchID }

// Session is a session that can be read from now on. Resumed says that it is from before this process start.
type Session struct {
	Transcript wire.Transcript
	Epoch      uint64
	Frames     *frame.Session
	Resumed    bool
}

// Live says that a session is on disk: what waited for it is taken in.
type Live struct{ Transcript wire.Transcript }

// Use has messages sealed under a session from now on.
type Use struct{ Transcript wire.Transcript }

// Hold has no messages sealed until the next Use. Those on their way are sealed again then.
type Hold struct{}

// Forget drops a session, whose keys the owner erases.
type Forget struct{ Transcript wire.Transcript }

// Roster says how many members there are.
type Roster struct{ Members int }

func (Settle) input()       {}
func (Say) input()          {}
func (Saved) input()        {}
func (Flush) input()        {}
func (Hurry) input()        {}
func (Received) input()     {}
func (Heads) input()        {}
func (Fetched) input()      {}
func (FetchRefused) input() {}
func (NotAsked) input()     {}
func (Sources) input()      {}
func (RelayUp) input()      {}
func (Stored) input()       {}
func (NotPublished) input() {}
func (HandedOver) input()   {}
func (Shelved) input()      {}
func (Unshelved) input()    {}
func (Session) input()      {}
func (Live) input()         {}
func (Use) input()          {}
func (Hold) input()         {}
func (Forget) input()       {}
func (Roster) input()       {}

// Output is what the machine wants done. Outputs are performed in their order.
type Output interface{ output() }

// Publish has a batch published, and kept for others. NotPublished and Shelved answer it.
type Publish struct {
	ID   wire.BatchID
	Data []byte
}

// Store hands batches to the relay node over the session stream. HandedOver answers it when IDs are given and
// there was room.
type Store struct {
	IDs     []wire.BatchID
	Batches [][]byte
}

// Ask asks a source for frames. Fetched, FetchRefused or NotAsked answer it.
type Ask struct {
	Source string
	Fetch  wire.Fetch
}

// Save has a message written into the outbox on disk. Saved answers it.
type Save struct{ Message Message }

// Done has a message taken out of the outbox on disk.
type Done struct{ Seq int64 }

// Remember has it on disk that a message was shown, with the session's state and what else changed.
type Remember struct{ Shown Shown }

// Commit has the states of sessions on disk: soon, or at once because a frame waits for it.
type Commit struct{ Now bool }

// Show is a message for the screens.
type Show struct {
	From  wire.Role
	ID    wire.MessageID
	Text  string
	Sent  time.Time
	Epoch uint64
	Late  bool // messages of the same sender that came after it were shown before
}

// Gap says that frames are missing and cannot be had.
type Gap struct {
	From   wire.Role
	Epoch  uint64
	Frames uint64
}

// Queued says that a message of this member is on disk here.
type Queued struct {
	ID   wire.MessageID
	Text string
}

// Sealed says that messages of this member were published in one batch, or handed to a relay node again.
type Sealed struct {
	IDs   []wire.MessageID
	Batch wire.BatchID
	Epoch uint64
	Bytes int // of the whole batch
	Again bool
}

// Relayed says that a relay node holds a message of this member.
type Relayed struct{ ID wire.MessageID }

// Delivered says who has shown a message of this member, in role order.
type Delivered struct {
	ID wire.MessageID
	By []wire.Role
}

// Refused says that a relay node will not have a batch with these messages of this member.
type Refused struct {
	IDs     []wire.MessageID
	Verdict wire.Verdict
}

// Keep is a batch that was asked for: for the shelf, and when it holds parts of the key agreement, for that.
type Keep struct {
	Batch wire.Batch
	Relay bool // a relay node has it
}

// Withdraw takes a batch off the shelf: what it holds is sealed again.
type Withdraw struct{ ID wire.BatchID }

// SetAside leaves it to the shelf to bring a batch to the next relay node.
type SetAside struct{ ID wire.BatchID }

// SilentTopic says that the topic carries nothing, though the session stream of the relay node does.
type SilentTopic struct{}

// StartBehind says that this member seals under a state from an old disk.
type StartBehind struct{ Transcript wire.Transcript }

// SawBehind says that a member seals under a state from an old disk. Start is the first that it may use.
type SawBehind struct {
	Transcript wire.Transcript
	Role       wire.Role
	Start      uint32
}

// Rekey asks for a new epoch.
type Rekey struct{}

// Flushed answers a Flush.
type Flushed struct{ Ref int }

func (Publish) output()     {}
func (Store) output()       {}
func (Ask) output()         {}
func (Save) output()        {}
func (Done) output()        {}
func (Remember) output()    {}
func (Commit) output()      {}
func (Show) output()        {}
func (Gap) output()         {}
func (Queued) output()      {}
func (Sealed) output()      {}
func (Relayed) output()     {}
func (Delivered) output()   {}
func (Refused) output()     {}
func (Keep) output()        {}
func (Withdraw) output()    {}
func (SetAside) output()    {}
func (SilentTopic) output() {}
func (StartBehind) output() {}
func (SawBehind) output()   {}
func (Rekey) output()       {}
func (Flushed) output()     {}

// Counts is what is on its way.
type Counts struct {
	Waiting     int // messages that are not sealed yet
	Flying      int // batches that nobody has acknowledged
	FlyingBytes int
}
