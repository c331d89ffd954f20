// Package mailbox is where the relay node keeps what was sent to members who are away: shares of a key agreement and
// the control messages that belong to them, all of them sealed or signed by members and opaque here.
//
//	A ---Deposit(items for B, C)---> mailbox ---Pending(B)---> B
//	A <--verdict for each item------ mailbox <--Acknowledge--- B      only now is it deleted
//
// # What a Store guarantees
//
//   - A deposit that was answered is durable. All items of one deposit are taken in one transaction.
//   - A recipient sees its mail in the order in which it was deposited, again and again until it acknowledges it. Only
//     the recipient's acknowledgement deletes mail, and only its own; else it goes when its time to live has passed or
//     when the recipient left the group (Forget).
//   - A deposit may be repeated. Mail is named by its sender, recipient, kind and payload (wire.MailID), and what is
//     here already is a duplicate, which is no failure. What was acknowledged before and is deposited again is
//     delivered again: its recipient may have lost its disk meanwhile.
//   - Nothing is ever evicted. What would pass a limit is refused, by the limit's name, and that sender alone is told.
//
// # Fairness
//
// There are four limits: for a pair of sender and recipient, for a sender, for a recipient and for everything. In
// DefaultLimits the limit of a recipient is the sum of its pairs' and the limit of everything the sum of all senders',
// so a member that fills what it may use takes no room from anybody else. Other Limits should keep to that rule;
// Limits.Fair tells.
//
// # What it does not
//
// It does not check that sender and recipient are members: the caller knows the sender from the connection
// (RemotePeer) and refuses a recipient that the roster does not name. It runs no timer: somebody has to call Expire.
//
// # Memory and disk
//
// SQLite keeps the mails in a table without any index and what an index would hold in memory, about 150 bytes a mail: a
// deposit then writes little more than the mail. A member that fills all that it may use takes 8 MB in a group of 100. The
// first use of an opened database reads the table: a third of a second for 100,000 mails.
//
// SQLite passes the suite of package mailboxtest, and answers as the simple mailbox there does. Only relaynode and tests import this package.
package mailbox
