package relaynode

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"conclave/overlay/wire"
	"conclave/pki/pkitest"
)

// A hundred members leave a share for each other at once, as a first key of a hundred asks for: everybody gets 99 mails
// and acknowledges them.
func TestHundredMembersDepositForEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("starts 100 hosts")
	}
	const members = 100
	g := pkitest.Fast(t, members)
	cfg := relayConfig(g)
	cfg.StatePath = filepath.Join(t.TempDir(), "state.db")
	n := startRelay(t, cfg)
	var all []*client
	for _, m := range g.Roster.Members {
		all = append(all, join(t, g, string(m.Role), n))
	}
	start := time.Now()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() { c.exchange(members - 1) })
	}
	wg.Wait()
	t.Logf("%d mails took %v", members*(members-1), time.Since(start).Round(time.Millisecond))
	eventually(t, "every mail is acknowledged", func() bool { return items(t, n) == 0 })
}

// exchange deposits one mail for each other member and takes and acknowledges as many as it is sent.
func (c *client) exchange(want int) {
	var out []wire.MailItem
	for _, m := range c.g.Roster.Members {
		if m.Peer != c.id.Cert.Peer {
			out = append(out, wire.MailItem{To: m.Peer, Kind: wire.KindShare, Payload: make([]byte, 1500)})
		}
	}
	c.send(&wire.Deposit{Seq: 1, Items: out})
	for got := 0; got < want; {
		d := await[*wire.Delivery](c, nil)
		var ids []wire.MailID
		for _, mail := range d.Mails {
			ids = append(ids, mail.ID)
		}
		got += len(ids)
		c.send(&wire.DeliveryAck{IDs: ids})
	}
	for _, v := range await[*wire.DepositResult](c, nil).Verdicts {
		if v != wire.VerdictStored {
			c.t.Errorf("%s: verdict %v", c.id.Cert.Role, v)
		}
	}
}
