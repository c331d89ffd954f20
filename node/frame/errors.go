package frame

import "errors"

// ErrForged is returned when a frame is not authentic, whatever the cause: malformed, altered, of a sender who is not the
// signer of its batch, or so far ahead that nobody can tell. The session is as it was.
var ErrForged = errors.New("the frame is not authentic")

// ErrForeign is returned when a frame names another session.
var ErrForeign = errors.New("the frame is of another session")

// ErrReplay is returned when a frame of this sender, start and counter was opened before.
var ErrReplay = errors.New("the frame was opened before")

// ErrTooOld is returned when a frame is behind the window: its key is gone, whether it was opened or not.
var ErrTooOld = errors.New("the frame is too old to be opened")

// ErrOwn is returned when a frame is one that this very session sealed, or of an earlier start of this member.
var ErrOwn = errors.New("the frame is this member's own")

// ErrBehind is returned when a batch that this member's key signed holds a frame that this state has not sealed yet: an
// old disk was restored. The caller drops the session and asks for a new epoch.
var ErrBehind = errors.New("this member has sealed frames that its state does not know of")

// ErrContent is returned by Open when a frame is authentic but its content is malformed. It is the one error that
// changes the session: the frame counts as opened, and Opened says which it was. Seal returns it when it is given
// content that Open would refuse.
var ErrContent = errors.New("the content is malformed")

// ErrNotCommitted is returned by Seal until a Checkpoint of this session was committed.
var ErrNotCommitted = errors.New("the start is not committed: nothing may be sealed yet")

// ErrExhausted is returned when a start has no counters left, or a state no starts.
var ErrExhausted = errors.New("the session's counters are used up")

// ErrErased is returned by every use of a session after Erase.
var ErrErased = errors.New("the session was erased")

// ErrState is returned by Restore when the bytes are not a state, whole and unaltered.
var ErrState = errors.New("not a session's state")
