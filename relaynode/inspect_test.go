package relaynode

import (
	"bytes"
	"strings"
	"testing"

	"conclave/overlay/batch"
	"conclave/overlay/topic"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"
)

// What the relay node holds is shown byte for byte, and nothing of it twice.
func TestHeldIsWhatCame(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	cfg := relayConfig(g)
	cfg.Inspect = 8
	n := startRelay(t, cfg)
	a := join(t, g, "A", n)
	a.deposit(1, "B", "not even an envelope")
	a.deposit(2, "B", "not even an envelope") // the same: a duplicate
	data := signed(t, g, "A", frame(0, 0, 0, 7), frame(0, 0, 1, 8))
	for range 2 {
		a.send(&wire.Store{Batches: [][]byte{data}})
		await[*wire.Stored](a, nil)
	}
	held := n.Held(0)
	if len(held) != 2 {
		t.Fatalf("%d things are held, want 2: %+v", len(held), held)
	}
	mail, batch := held[0], held[1]
	if mail.What != "share" || mail.From != "A" || mail.To != "B" || string(mail.Data) != "not even an envelope" || mail.Way != "session" {
		t.Errorf("the mail is shown as %+v", mail)
	}
	if batch.What != "frames" || batch.From != "A" || batch.To != "" || !bytes.Equal(batch.Data, data) || len(batch.Frames) != 2 {
		t.Errorf("the batch is shown as %+v", batch)
	}
	if batch.ID != wire.BatchIDOf(data).String() || batch.Time.IsZero() {
		t.Errorf("the batch has the ID %s", batch.ID)
	}
	if after := n.Held(mail.Number); len(after) != 1 || after[0].Number != batch.Number {
		t.Errorf("after the first there is %+v", after)
	}
	if n.Held(batch.Number) != nil {
		t.Error("there is something after the last")
	}
}

func TestHeldIsBounded(t *testing.T) {
	s := newSight(3, nil, nil, nil)
	for range 5 {
		s.add(Held{Data: make([]byte, 10)})
	}
	if len(s.items) != 3 || s.items[0].Number != 3 || s.bytes != 30 {
		t.Errorf("it keeps %d things from number %d, %d bytes", len(s.items), s.items[0].Number, s.bytes)
	}
	for range 3 {
		s.add(Held{Data: make([]byte, maxHeldBytes*2/3)})
	}
	if len(s.items) != 1 || s.bytes > maxHeldBytes {
		t.Errorf("it keeps %d things, %d bytes", len(s.items), s.bytes)
	}
	if newSight(0, nil, nil, nil) != nil {
		t.Error("it keeps something that nobody asked for")
	}
}

// Parts cover every byte once, and call sealed exactly what only members can read.
func TestPartsCoverEveryByte(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B")
	sealed := bytes.Repeat([]byte{0xee}, 384)
	inner := wire.Signed{Type: wire.SignedOpening, Payload: []byte{1}}.Marshal()
	envelope := wire.Signed{Type: wire.SignedEnvelope, Payload: wire.Envelope{
		Group: g.Group.ID, Suite: wire.SuiteOAEP, Opening: inner, Announcement: inner, To: "B", Ciphertext: sealed,
	}.Marshal()}.Marshal()
	control := wire.Signed{Type: wire.SignedRequest, Payload: []byte{1}}.Marshal()
	message := frame(0, 0, 0, 0xee)
	for _, c := range []struct {
		name string
		held Held
		want string // names of the sealed parts
		size int    // of the sealed parts
	}{
		{"frames", Held{Data: signed(t, g, "A", message, message)}, "message", 2 * (len(message) - wire.FrameOverhead)},
		{"share", Held{Data: envelope, To: "B"}, "share, under the RSA key of B", len(sealed)},
		{"control mail", Held{Data: control, To: "B"}, "", 0},
		{"control batch as mail", Held{Data: controlBatch(t, g, control), To: "B"}, "", 0},
		{"nonsense mail", Held{Data: []byte("nonsense"), To: "B"}, "", 0},
		{"nonsense batch", Held{Data: []byte("nonsense")}, "", 0},
		{"nothing", Held{}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, size := 0, 0
			for _, p := range c.held.Parts() {
				if p.From != at || p.To <= p.From {
					t.Fatalf("%q is from %d to %d, after %d", p.Name, p.From, p.To, at)
				}
				at = p.To
				if p.Sealed {
					size += p.To - p.From
					if !strings.Contains(p.Name, c.want) {
						t.Errorf("%q is sealed", p.Name)
					}
				}
			}
			if at != len(c.held.Data) || size != c.size {
				t.Errorf("parts cover %d of %d bytes, %d of them sealed, want %d", at, len(c.held.Data), size, c.size)
			}
		})
	}
}

// controlBatch is a batch with a message of key agreement, by A.
func controlBatch(t *testing.T, g *pkitest.Group, item []byte) []byte {
	t.Helper()
	b, err := batch.Sign(g.Member("A").Identity, topic.Name(g.Group.ID), wire.BatchControl, [][]byte{item})
	if err != nil {
		t.Fatal(err)
	}
	held := Held{Data: b, To: "B"}
	if parts := held.Parts(); len(parts) != 7 || parts[5].Name != "request, signed, readable" {
		t.Errorf("its parts are %+v", parts)
	}
	return b
}

// Circuits are counted while they are open, and so is what goes through them.
func TestStatusSaysHowFarEverybodyHasCome(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "C")
	n, a, b, _, _ := attacked(t, g)
	circuit(t, n, b.host, a.host)
	of := func() map[wire.Role]MemberStatus {
		s, err := n.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[wire.Role]MemberStatus)
		for _, m := range s.Members {
			all[m.Role] = m
		}
		return all
	}
	eventually(t, "a circuit from B to A", func() bool {
		m := of()
		return m["A"].Reserved && m["A"].Circuits == 1 && m["B"].Circuits == 1
	})
	all := of()
	if m := all["A"]; len(m.Connected) == 0 || !m.Online || !m.InTopic {
		t.Errorf("A is shown as %+v", m)
	}
	if m := all["C"]; len(m.Connected) != 0 || m.Online || m.InTopic || m.Reserved {
		t.Errorf("C, who is away, is shown as %+v", m)
	}
	s, err := n.Status(t.Context())
	if err != nil || s.Circuits.Open != 1 || s.Circuits.Total != 1 || s.Circuits.Bytes == 0 || s.Circuits.Reserved != 1 || s.Started.IsZero() {
		t.Errorf("circuits are shown as %+v, %v", s.Circuits, err)
	}
	_ = a.host.Close()
	eventually(t, "A is gone, and its slot with it", func() bool {
		s, err := n.Status(t.Context())
		return err == nil && s.Circuits.Open == 0 && s.Circuits.Reserved == 0 && len(of()["A"].Connected) == 0
	})
}
