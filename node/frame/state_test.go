package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestRestoreRefusesWhatIsNotAState(t *testing.T) {
	b := testSession(t, 1)
	a := testSession(t, 0)
	seal(t, a, text(0))
	open(t, b, 0, seal(t, a, text(1)))
	state := b.Checkpoint().Bytes()
	if len(state) != b.stateSize() {
		t.Errorf("a state of %d bytes, foretold %d", len(state), b.stateSize())
	}
	for i := range state {
		bad := bytes.Clone(state)
		bad[i] ^= 0x40
		if _, err := Restore(bad, nil); !errors.Is(err, ErrState) {
			t.Fatalf("byte %d: %v, want ErrState", i, err)
		}
		if _, err := Restore(state[:i], nil); !errors.Is(err, ErrState) {
			t.Fatalf("%d bytes: %v, want ErrState", i, err)
		}
	}
}

// TestTheStateHoldsNoUsedKey searches a state for keys that were used, or are this start's own.
func TestTheStateHoldsNoUsedKey(t *testing.T) {
	a, b := testSession(t, 0), testSession(t, 1)
	cfg := testConfig(t, 0)
	own := a.ck
	var chains []key
	for i := range 3 {
		chains = append(chains, a.ck)
		open(t, b, 0, seal(t, a, text(i)))
	}
	for name, state := range map[string][]byte{"sender": a.Checkpoint().Bytes(), "receiver": b.Checkpoint().Bytes()} {
		if bytes.Contains(state, cfg.PRK.k[:]) || bytes.Contains(state, own[:]) {
			t.Errorf("%s: holds the PRK or the first chain", name)
		}
		for i := range chains {
			var w walk
			w.run(newPRF(), &chains[i], 0, 0)
			if bytes.Contains(state, chains[i][:]) || bytes.Contains(state, w.keys.aes[:]) || bytes.Contains(state, w.keys.mac[:]) {
				t.Errorf("%s: holds keys of counter %d", name, i)
			}
		}
	}
	if bytes.Contains(a.Checkpoint().Bytes(), a.ck[:]) {
		t.Error("the sender's present chain is on its disk")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	cfg := testConfig(t, 0)
	cfg.PRK.k = key(bytes.Repeat([]byte{0xab}, 32))
	s := testSession(t, 0)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for i := range s.senders {
		s.senders[i].root = cfg.PRK.k
	}
	logger.Info("x", "session", s, "prk", cfg.PRK, "key", cfg.PRK.k, "cfg", cfg, "checkpoint", s.Checkpoint())
	out := log.String() + fmt.Sprintf("%v %+v %#v %x %s %d", cfg.PRK, cfg, cfg.PRK, cfg.PRK, cfg.PRK.k, cfg.PRK) +
		fmt.Sprintf("%v %x %#v", s.Checkpoint(), s.Checkpoint(), messageKeys{aes: cfg.PRK.k}) +
		fmt.Sprintf("%v %+v %#v", s, s, s)
	for _, leak := range []string{"abab", "ABAB", "171, 171", "171 171", "0xab"} {
		if strings.Contains(out, leak) {
			t.Errorf("a secret printed itself: %q in %s", leak, out)
		}
	}
	if !strings.Contains(out, redacted) {
		t.Error("nothing was redacted")
	}
	if _, err := json.Marshal(cfg); err == nil {
		t.Error("a PRK was marshaled")
	}
	if _, err := json.Marshal(s.Checkpoint()); err == nil {
		t.Error("a checkpoint was marshaled")
	}
	same, err := NewPRK(bytes.Repeat([]byte{0xab}, 32))
	if err != nil || !same.Equal(cfg.PRK) {
		t.Error("Equal is wrong")
	}
	same.Clear()
	if same.Equal(cfg.PRK) {
		t.Error("Clear is wrong")
	}
	if _, err := NewPRK(make([]byte, 31)); err == nil {
		t.Error("a PRK of 31 bytes")
	}
}
