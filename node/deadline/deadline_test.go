package deadline_test

import (
	"testing"
	"time"

	"conclave/node/deadline"
)

func TestSooner(t *testing.T) {
	t.Parallel()
	var none time.Time
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, c := range []struct{ a, b, want time.Time }{
		{none, none, none}, {none, late, late}, {late, none, late}, {early, late, early}, {late, early, early}, {early, early, early},
	} {
		if got := deadline.Sooner(c.a, c.b); !got.Equal(c.want) {
			t.Errorf("of %v and %v the sooner is %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
