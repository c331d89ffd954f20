package node

import (
	"testing"
)

func TestThreeAgreeAndChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b, c := w.join("A"), w.join("B"), w.join("C")
	agree(t, abc, a, b, c)
	id := a.send("hello")
	b.reads("A", "hello")
	c.reads("A", "hello")
	a.state(id, Queued)
	a.state(id, Relayed)
	a.state(id, Delivered)
}
