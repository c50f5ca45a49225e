package book

import (
	"testing"
	"time"

	"example.com/purse/amount"
)

func entry(day int, value amount.Amount) Entry {
	return Entry{Day: time.Date(2024, 3, day, 0, 0, 0, 0, time.UTC), Text: "x", Value: value}
}

func TestBalance(t *testing.T) {
	s := NewStatement("a", entry(2, 500), entry(1, -100))
	if s.Balance() != 400 || s.Len() != 2 {
		t.Fatalf("got %v", s)
	}
	if got := s.Sorted().Lines()[0]; got != "01.03. x                           -1.00        -1.00" {
		t.Fatalf("got %q", got)
	}
	if got := len(s.Between(entry(2, 0).Day, entry(3, 0).Day)); got != 1 {
		t.Fatalf("got %d", got)
	}
}

func TestWhatIfs(t *testing.T) {
	base := NewStatement("a", entry(1, 1000)).With(entry(2, -10)).With(entry(3, -10))
	rent, food := base.With(entry(4, -700)), base.With(entry(4, -50))
	if rent.Balance() != 280 || food.Balance() != 930 {
		t.Fatalf("with rent %s, with food %s", rent.Balance(), food.Balance())
	}
}
