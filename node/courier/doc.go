// Package courier carries what the key agreement wants carried: control messages over the topic and into mailboxes, shares over
// streams to members who are present and into the mailboxes of the others.
//
//	key agreement ──Broadcast──► batch ──► topic, and mailboxes of the absent
//	              ──Wrap──► worker pool: RSA ──► a stream to a member, or its mailbox
//	              ◄──Step── MailStored, ShareDelivered, ShareFailed
//	mailbox, streams ──Delivered, Serve──► Step: Envelope, Control ──Settled──► acknowledged
//	key agreement ──Unwrap──► worker pool: RSA ──Step──► Unwrapped
//
// A share for a member who is present goes over a stream. While the circuit for it has still to be made it goes into the
// mailbox as well, which is faster then, and the second copy costs its recipient no work. Everything that waits for a mailbox
// goes in one deposit.
//
// # Guarantees
//
// A share counts as handed over only when the other side, or its mailbox, holds it durably. Whatever is not answered is given
// back: shares to the key agreement, which wraps them again, control messages to the next relay node. What arrives is
// acknowledged only when the key agreement has settled it, and comes again otherwise. Every queue is bounded.
//
// # What it does not do
//
// It knows no rule of the key agreement and no session. Presence is a hint: it decides which way is tried first, never more.
//
// A Courier belongs to its owner's goroutine; only Serve is called on others. It may be imported by node alone. It imports
// overlay, overlay/batch, overlay/wire, pki, and of node/keyagreement the values that it carries.
package courier
