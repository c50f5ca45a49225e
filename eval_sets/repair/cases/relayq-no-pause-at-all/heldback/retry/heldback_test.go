package retry

import (
	"math"
	"testing"
	"time"
)

func TestNeverLessThanBefore(t *testing.T) {
	for _, first := range []time.Duration{1, 3, time.Millisecond, time.Second, time.Hour} {
		for _, most := range []time.Duration{first, first + 1, 7 * first, 24 * 365 * time.Hour, math.MaxInt64} {
			pauses := Pauses{First: first, Most: most}
			last := time.Duration(0)
			for try := 1; try < 300; try++ {
				got := pauses.Before(try)
				if got < last || got > most {
					t.Fatalf("first %d, most %d, try %d: %d after %d", first, most, try, got, last)
				}
				last = got
			}
			if last != most {
				t.Fatalf("first %d: ends at %d, not at %d", first, last, most)
			}
		}
	}
}

func TestExactlyTheMost(t *testing.T) {
	pauses := Pauses{First: 2, Most: 16}
	for try, want := range []time.Duration{0, 0, 2, 4, 8, 16, 16} {
		if got := pauses.Before(try); got != want {
			t.Errorf("try %d: %d", try, got)
		}
	}
}
