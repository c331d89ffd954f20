package relaynode

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"conclave/overlay/batch"
	"conclave/overlay/wire"
	"conclave/pki/pkitest"
)

// A member publishes a forged copy of another's batch before the real one comes. Pubsub marks an ID as seen before it
// validates, so with an ID that leaves out the signature the real batch would be taken for a duplicate.
func TestAttackForgedBatchComesFirst(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "M")
	n, _, _, topicA, topicB := attacked(t, g)
	m := join(t, g, "M", n)
	topicM := joinTopic(t, g, m.host)
	warmUp(t, g, "M", topicM, topicB)
	real := signed(t, g, "A", frame(0, 0, 0, 'r'))
	forged := slices.Clone(real)
	forged[len(forged)-1] ^= 1
	publish(t, topicM, forged)
	eventually(t, "the forged copy is refused", func() bool { return n.count.get(dropTopicForged) > 0 })
	publish(t, topicA, real)
	after := signed(t, g, "A", frame(0, 0, 1, 'a'))
	publish(t, topicA, after)
	for got := receive(t, topicB); !bytes.Equal(got, real); got = receive(t, topicB) {
		if bytes.Equal(got, after) {
			t.Fatal("the attack works")
		}
	}
}

// A member gives the relay node another's batch with a wrong signature on the session stream, to have it stored.
func TestAttackForgedBatchIsStored(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "M")
	n := startRelay(t, relayConfig(g))
	m := join(t, g, "M", n)
	real := signed(t, g, "A", frame(0, 0, 0, 'r'))
	forged := slices.Clone(real)
	forged[len(forged)-1] ^= 1
	m.send(&wire.Store{Batches: [][]byte{forged}})
	r := await[*wire.Stored](m, nil)
	if len(r.IDs) != 0 || len(r.Refused) != 1 || r.Refused[0].ID != wire.BatchIDOf(forged) {
		t.Fatalf("got %+v", r)
	}
	// The control: the same with the right signature is stored, whoever brings it.
	m.send(&wire.Store{Batches: [][]byte{real}})
	if r := await[*wire.Stored](m, nil); !slices.Contains(r.IDs, wire.BatchIDOf(real)) {
		t.Fatalf("got %+v", r)
	}
}

// Batches that are no batches, or of nobody in the roster, or with frames that have no header, are refused on both ways.
func TestAttackMalformedBatches(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "M")
	n, _, _, _, topicB := attacked(t, g)
	m := join(t, g, "M", n)
	topicM := joinTopic(t, g, m.host)
	warmUp(t, g, "M", topicM, topicB)
	bad := malformed(t, g, n)
	for _, b := range bad {
		publish(t, topicM, b)
	}
	good := signed(t, g, "M", frame(2, 0, 0, 'g'))
	publish(t, topicM, good)
	if !bytes.Equal(receive(t, topicB), good) {
		t.Fatal("the attack works")
	}
	m.send(&wire.Store{Batches: bad})
	if r := await(m, func(r *wire.Stored) bool { return len(r.Refused) > 0 }); len(r.Refused) != len(bad) || len(r.IDs) != 0 {
		t.Errorf("got %+v", r)
	}
	eventually(t, "the good batch is the only one kept", func() bool {
		heads, _, err := n.backlog.Heads(context.Background(), 0)
		return err == nil && len(heads) == 1 && heads[0].Sender == 2
	})
}

// malformed returns what is no batch, of nobody, for another topic, or holds what is no frame.
func malformed(t testing.TB, g *pkitest.Group, n *Node) [][]byte {
	t.Helper()
	foreign, err := batch.Sign(pkitest.NewIdentity(t), n.batches.topicName, wire.BatchFrames, [][]byte{frame(0, 0, 0, 'f')})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := batch.Sign(g.Member("A").Identity, n.batches.topicName+"0", wire.BatchFrames, [][]byte{frame(0, 0, 0, 'e')})
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{foreign, signed(t, g, "M", []byte("not a frame")), elsewhere, []byte("rubbish"), {0}}
}

// A member signs frames that claim another's index, to hide that one's frames or to invent some: heads and fetches name
// the signer, so a member sees whose claim it is.
func TestAttackClaimedIndexHidesNothing(t *testing.T) {
	g := pkitest.NewGroup(t, "A", "B", "M")
	n := startRelay(t, relayConfig(g))
	m, a := join(t, g, "M", n), join(t, g, "A", n)
	m.send(&wire.Store{Batches: [][]byte{signed(t, g, "M", frame(0, 0, 0, 'm')), signed(t, g, "M", frame(0, 0, 1<<31, 'm'))}})
	await[*wire.Stored](m, nil)
	real := signed(t, g, "A", frame(0, 0, 0, 'a'))
	a.send(&wire.Store{Batches: [][]byte{real}})
	await[*wire.Stored](a, nil)
	b := join(t, g, "B", n)
	heads := await(b, func(h *wire.Heads) bool { return h.Full }).Heads
	high := map[wire.Signer]uint32{}
	for _, h := range heads {
		high[h.Signer] = h.High
	}
	if len(heads) != 2 || high[signerOf(g, "A")] != 0 || high[signerOf(g, "M")] != 1<<31 {
		t.Fatalf("heads %+v", heads)
	}
	b.send(&wire.Fetch{Seq: 1, Prefix: testPrefix, To: 1 << 31, Signer: signerOf(g, "A")})
	f := await[*wire.Fetched](b, nil)
	if len(f.Batches) != 1 || !bytes.Equal(f.Batches[0], real) || f.More {
		t.Fatalf("fetched %d batches of A", len(f.Batches))
	}
}
