package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"conclave/overlay/wire"
	"conclave/pki/authority"
)

// TestInspect looks at a group of two that has a key: everything a debug window shows is there, and nothing secret.
func TestInspect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("hello")
	a.state(id, Delivered)

	in, err := a.run.node.Inspect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(in.Certificates); n != 5 { // the CA, three members, the relay node
		t.Errorf("%d certificates", n)
	}
	for _, c := range in.Certificates {
		for _, check := range c.Checks {
			if !check.OK {
				t.Errorf("%s %s: %s: %s", c.Kind, c.Role, check.Rule, check.Why)
			}
		}
	}
	if !in.Certificates[1].Self || in.Certificates[1].Role != "A" {
		t.Errorf("the second certificate is that of %s", in.Certificates[1].Role)
	}
	if len(in.Links) != 1 || in.Links[0].State != Ready || !in.Links[0].Main || in.Links[0].Database == "" {
		t.Errorf("links: %+v", in.Links)
	}
	if len(in.Connections) == 0 || !in.Connections[0].Relay {
		t.Errorf("connections: %+v", in.Connections)
	}
	i := slices.IndexFunc(in.Epochs, func(e Epoch) bool { return e.Transcript == in.Using })
	if i < 0 {
		t.Fatalf("the epoch in use is not among %+v", in.Epochs)
	}
	for _, p := range in.Epochs[i].Parts {
		if !p.Announced || !p.Share || p.Commitment == [32]byte{} {
			t.Errorf("part of %s: %+v", p.Role, p)
		}
	}
	a.noSecrets(t, in)
}

// noSecrets looks for this member's keys in what its debug window gets, as they would look in json.
func (p *person) noSecrets(t *testing.T, in Inspection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, err := json.Marshal([]any{in, p.events})
	if err != nil {
		t.Fatal(err)
	}
	n := p.run.node
	secrets := map[string]string{
		"the identity": hex.EncodeToString(n.cfg.Identity.Seed()), "the RSA key": n.cfg.RSA.D.String(),
		"a factor of the RSA key": n.cfg.RSA.Primes[0].String(),
	}
	for _, k := range all[SessionKey](p.events) {
		secrets["Kabc"] = k.Key.Reveal()
	}
	if len(secrets) < 4 {
		t.Fatal("there is no key to look for")
	}
	for what, secret := range secrets {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s is shown", what)
		}
	}
}

// TestTrace follows a share and a message by the events for a debug window.
func TestTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B", "C")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	id := a.send("hello")
	a.state(id, Relayed)
	a.until("the steps of the link", func(events []Event) bool {
		for _, want := range []Step{StepDialled, StepHandshake, StepTopic, StepReserved} {
			if !slices.ContainsFunc(all[LinkStep](events), func(s LinkStep) bool { return s.Step == want && s.Detail != "" }) {
				return false
			}
		}
		return true
	})
	share := func(what string, ok func(ShareEvent) bool) {
		t.Helper()
		a.until(what, func(events []Event) bool { return slices.ContainsFunc(all[ShareEvent](events), ok) })
	}
	for what, way := range map[string]Way{"its share in B's mailbox": ByMailbox, "its share at B": ByCircuit} {
		share(what, func(s ShareEvent) bool { return !s.Received && s.OK && s.Of == "A" && s.Peer == "B" && s.Way == way })
	}
	share("its share in C's mailbox", func(s ShareEvent) bool { return !s.Received && s.OK && s.Peer == "C" && s.Way == ByMailbox })
	share("B's share", func(s ShareEvent) bool {
		return s.Received && s.Of == "B" && s.Peer == "B" && s.Epoch != wire.EpochID{}
	})
	a.until("the message's batch", func(events []Event) bool {
		return slices.ContainsFunc(all[Sealed](events), func(s Sealed) bool { return slices.Contains(s.IDs, id) && s.Bytes > 0 })
	})
}

// trust returns what is remembered of one code.
func (p *person) trust(role wire.Role) Verification {
	p.t.Helper()
	list, err := p.run.node.Verifications(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, v := range list {
		if v.Role == role {
			return v
		}
	}
	p.t.Fatalf("there is no code for %q", role)
	return Verification{}
}

// TestVerification compares codes on both sides, remembers it over a restart, and is loud when B comes with other keys.
func TestVerification(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "A", "B")
	a, b := w.join("A"), w.join("B")
	agree(t, []wire.Role{"A", "B"}, a, b)
	code := a.trust("B").Code
	if other := b.trust("A").Code; code != other {
		t.Fatalf("A has %q, B has %q", code, other)
	}
	if group := a.trust(""); group.Code != b.trust("").Code || group.Trust != Unverified {
		t.Errorf("group code: %+v", group)
	}
	ctx := context.Background()
	if err := a.run.node.Verify(ctx, "B", "00000", true); !errors.Is(err, ErrCodeChanged) {
		t.Errorf("a wrong code: %v", err)
	}
	if err := a.run.node.Verify(ctx, "B", code, true); err != nil {
		t.Fatal(err)
	}
	a.leave()
	a = w.join("A")
	agree(t, []wire.Role{"A", "B"}, a, b)
	if v := a.trust("B"); v.Trust != Verified || v.Code != code {
		t.Fatalf("after a restart: %+v", v)
	}

	b.leave()
	fresh := w.group.AddMember("B") // another person, or another machine
	w.reissue(w.group.Reissue(func(d *authority.Draft) { d.SetMember(fresh.Cert) }))
	a.until("the change to be told", func(events []Event) bool {
		changed := all[CodeChanged](events)
		return len(changed) > 0 && changed[0].Role == "B" && changed[0].WasVerified
	})
	v := a.trust("B")
	if v.Trust != Changed || v.Before != code || !v.WasVerified || v.Code == code {
		t.Fatalf("after the change: %+v", v)
	}
	if err := a.run.node.Verify(ctx, "B", code, true); !errors.Is(err, ErrCodeChanged) {
		t.Errorf("the old code: %v", err)
	}
	if err := a.run.node.Verify(ctx, "B", v.Code, true); err != nil || a.trust("B").Trust != Verified {
		t.Errorf("the new code: %v, %+v", err, a.trust("B"))
	}
}
