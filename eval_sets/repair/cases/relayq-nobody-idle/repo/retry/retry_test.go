package retry

import (
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	pauses := Pauses{First: time.Second, Most: 10 * time.Second}
	for try, want := range map[int]time.Duration{1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: 10, 7: 10} {
		if got := pauses.Before(try); got != want*time.Second {
			t.Errorf("before try %d: %s", try, got)
		}
	}
	if got := pauses.Total(4); got != 7*time.Second {
		t.Errorf("total: %s", got)
	}
}

func TestServiceThatIsDownForDays(t *testing.T) {
	pauses := Pauses{First: time.Second, Most: time.Minute}
	if got := pauses.Before(60); got != time.Minute {
		t.Errorf("got %s", got)
	}
}
