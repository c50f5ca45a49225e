package report

import (
	"testing"
	"time"
)

func TestBoard(t *testing.T) {
	now := time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)
	board := NewBoard(time.Minute)
	board.Note("lee", true, time.Second, now)
	board.Note("kim", false, time.Second, now.Add(50*time.Second))
	board.Note("lee", true, 2*time.Second, now)
	if got := board.String(); got != "kim: 0 done, 1 failed, 1s\nlee: 2 done, 0 failed, 3s" {
		t.Fatalf("got %q", got)
	}
	if got := board.Mark(now.Add(time.Minute)); got != 1 {
		t.Fatalf("%d idle", got)
	}
	if got := board.Lines()[1]; got != "lee: 2 done, 0 failed, 3s (idle)" {
		t.Fatalf("got %q", got)
	}
}
