package report

import (
	"strings"
	"testing"
	"time"
)

func TestIdleComesAndGoes(t *testing.T) {
	now := time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)
	board := NewBoard(time.Minute)
	for n, name := range []string{"a", "b", "c", "d"} {
		board.Note(name, true, time.Second, now.Add(time.Duration(n)*20*time.Second))
	}
	if got := board.Mark(now.Add(80 * time.Second)); got != 2 {
		t.Fatalf("%d idle", got)
	}
	if got := strings.Count(board.String(), "(idle)"); got != 2 {
		t.Fatalf("%d shown as idle", got)
	}
	board.Note("a", false, time.Second, now.Add(80*time.Second))
	if strings.Contains(board.Lines()[0], "idle") {
		t.Fatal("a is back")
	}
	if got := board.Mark(now.Add(81 * time.Second)); got != 1 {
		t.Fatalf("%d idle", got)
	}
	if strings.Contains(board.Lines()[0], "idle") || !strings.Contains(board.Lines()[1], "idle") {
		t.Fatalf("got %s", board)
	}
	if board.Mark(now) != 0 || strings.Contains(board.String(), "idle") {
		t.Fatalf("a clock that was set back: %s", board)
	}
}

func TestReset(t *testing.T) {
	now := time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)
	board := NewBoard(time.Minute)
	board.Note("a", true, time.Second, now)
	board.Reset()
	if got := board.String(); got != "a: 0 done, 0 failed, 0s" {
		t.Fatalf("got %q", got)
	}
	if board.Mark(now.Add(time.Hour)) != 1 || board.Mark(now) != 0 {
		t.Fatal("when it was seen is lost")
	}
}
