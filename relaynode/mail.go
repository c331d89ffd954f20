package relaynode

import (
	"context"
	"errors"

	"conclave/overlay/wire"
	"conclave/relaynode/news"
	"conclave/relaynode/serve"

	"github.com/libp2p/go-libp2p/core/peer"
)

// deposit leaves items in mailboxes and answers when they are durable. A recipient that is connected is woken at once.
// The sender is the session's proven peer.
func (m *member) deposit(ctx context.Context, msg *wire.Deposit) serve.Verdict {
	n := m.n
	size := 0
	for _, item := range msg.Items {
		size += len(item.Payload)
	}
	if !m.loop.Rates.Bring(ctx, size) {
		return serve.Verdict{Code: wire.RefusedLimit, Text: "too many bytes deposited"}
	}
	roster := n.roster.Load()
	known := make([]wire.MailItem, 0, len(msg.Items))
	for _, item := range msg.Items {
		if _, _, ok := roster.MemberByPeer(item.To); ok {
			known = append(known, item)
		}
	}
	results, err := n.mail.Deposit(ctx, m.peer, known, n.cfg.Now())
	if err != nil {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the mailbox failed", Reason: err}
	}
	if len(results) != len(known) {
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the mailbox failed", Reason: errors.New("verdicts are missing")}
	}
	reply := &wire.DepositResult{Seq: msg.Seq, Verdicts: make([]wire.Verdict, len(msg.Items)), Database: n.database}
	next := 0
	for i, item := range msg.Items {
		reply.Verdicts[i] = wire.VerdictUnknownRecipient
		if next < len(known) && known[next].To == item.To {
			reply.Verdicts[i], next = results[next], next+1
		}
	}
	m.deposited(msg.Items, reply.Verdicts)
	return serve.Verdict{Reply: reply}
}

// deposited reports what became of a deposit and wakes its recipients.
func (m *member) deposited(items []wire.MailItem, verdicts []wire.Verdict) {
	n := m.n
	woken := make(map[peer.ID]bool)
	for i, v := range verdicts {
		to := items[i].To
		switch {
		case v == wire.VerdictStored:
			n.sight.mail(m.peer, items[i])
		case !v.Accepted():
			n.count.inc("deposit-refused: " + v.String())
			n.log.Info("deposit refused", "from", m.role, "to", n.roleOf(to), "verdict", v)
			continue
		}
		if woken[to] {
			continue
		}
		woken[to] = true
		if r := n.table.get(to); r != nil {
			r.news.Set(news.Mail)
		}
		n.peers.Wake(to)
	}
}

// acknowledge deletes mail on its recipient's word. Only the proven recipient's mail is looked at.
func (m *member) acknowledge(ctx context.Context, msg *wire.DeliveryAck) serve.Verdict {
	if _, err := m.n.mail.Acknowledge(ctx, m.peer, msg.IDs); err != nil { // defence: mail-owner
		return serve.Verdict{Code: wire.RefusedFailed, Text: "the mailbox failed", Reason: err}
	}
	m.handed.Acknowledge(m.peer, msg.IDs)
	if m.mail.acknowledged(msg.IDs) {
		m.news.Set(news.Mail)
	}
	return serve.Verdict{}
}
