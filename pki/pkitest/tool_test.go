package pkitest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"conclave/pki/pkitest"
)

// fakeTB records how a test ended.
type fakeTB struct {
	testing.TB
	ended string
}

func (f *fakeTB) Helper() {}
func (f *fakeTB) Fatalf(format string, args ...any) {
	f.ended = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fakeTB) Skipf(format string, args ...any) {
	f.ended = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestTool(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped: no-such-tool is not installed", "true": "failed: no-such-tool is not installed"} {
		t.Setenv("CI", ci)
		fake := &fakeTB{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			pkitest.Tool(fake, "no-such-tool")
		}()
		<-done
		if !strings.HasPrefix(fake.ended, want) {
			t.Errorf("with CI=%q: %q", ci, fake.ended)
		}
	}
	if path := pkitest.Tool(t, "go"); path == "" {
		t.Error("go has no path")
	}
}
