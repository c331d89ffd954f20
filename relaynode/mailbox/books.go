package mailbox

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"conclave/overlay/wire"
)

// line is one entry of the books: what lies here from a sender for a recipient. An empty end means everybody, so
// that ("", "") is the whole mailbox.
type line struct{ from, to peer.ID }

// linesOf returns the four entries that a mail is booked under, in the order in which limits are tried.
func linesOf(from, to peer.ID) [4]line {
	return [4]line{{from, to}, {from, ""}, {"", to}, {"", ""}}
}

// books say what lies here under each line; a line that is empty is not in them.
type books map[line]Quota

// add enters mails that came, or with negative numbers that went.
func (b books) add(from, to peer.ID, items int, bytes int64) {
	for _, l := range linesOf(from, to) {
		if used := b[l].plus(items, bytes); used.Items == 0 {
			delete(b, l)
		} else {
			b[l] = used
		}
	}
}

// room returns the refusal of the first limit that an item would pass, 0 when there is room.
func (b books) room(limits Limits, from peer.ID, item wire.MailItem) wire.Verdict {
	quotas := limits.quotas()
	for i, l := range linesOf(from, item.To) {
		if !quotas[i].has(b[l], len(item.Payload)) {
			return refusals[i]
		}
	}
	return 0
}

// stats sums the books up.
func (b books) stats() Stats {
	s := Stats{Quota: b[line{}]}
	for l := range b {
		switch {
		case l.from == "" && l.to != "":
			s.Recipients++
		case l.from != "" && l.to == "":
			s.Senders++
		}
	}
	return s
}

// refusals are the verdicts that go with linesOf when an entry is full.
var refusals = [4]wire.Verdict{
	wire.VerdictOverSenderQuota, wire.VerdictOverSenderQuota, wire.VerdictOverMailboxQuota, wire.VerdictOverStoreQuota,
}

// quotas returns the limits that go with linesOf.
func (l Limits) quotas() [4]Quota { return [4]Quota{l.Pair, l.Sender, l.Recipient, l.Total} }

// has says whether another mail of n bytes fits under the quota when used lies there.
func (q Quota) has(used Quota, n int) bool {
	return used.Items < q.Items && used.Bytes+int64(n) <= q.Bytes
}

// plus returns what is used after mails came or went.
func (q Quota) plus(items int, bytes int64) Quota {
	return Quota{Items: q.Items + items, Bytes: q.Bytes + bytes}
}

// shape is the verdict on an item that needs no books: 0 when there is nothing against it.
func (l Limits) shape(item wire.MailItem) wire.Verdict {
	most := item.Kind.MaxPayload()
	switch {
	case most == 0 || len(item.Payload) == 0:
		return wire.VerdictMalformed
	case len(item.Payload) > min(most, l.Item):
		return wire.VerdictTooLarge
	}
	return 0
}
