package book

import (
	"testing"

	"example.com/purse/amount"
)

func TestStatementsStayAsTheyAre(t *testing.T) {
	all := []Statement{NewStatement("a")}
	want := []amount.Amount{0}
	for n := 0; n < 200; n++ {
		from := (n * 7) % len(all)
		value := amount.Amount(1) << uint(n%50)
		all = append(all, all[from].With(entry(1+n%28, value)))
		want = append(want, want[from]+value)
	}
	for at, s := range all {
		if s.Balance() != want[at] {
			t.Fatalf("statement %d: %d, not %d", at, s.Balance(), want[at])
		}
		if s.Account != "a" {
			t.Fatal("the account is lost")
		}
	}
}

func TestWithSeveral(t *testing.T) {
	base := NewStatement("a", entry(1, 1), entry(2, 2), entry(3, 3))
	one, two := base.With(entry(4, 10), entry(5, 20)), base.With(entry(4, 100), entry(5, 200))
	if one.Len() != 5 || one.Balance() != 36 || two.Balance() != 306 || base.Balance() != 6 {
		t.Fatalf("%v %v", one, two)
	}
	wide := base.With(entry(4, 4), entry(5, 5)).With(entry(6, 6), entry(7, 7))
	one, two = wide.With(entry(8, 100), entry(9, 100)), wide.With(entry(8, 1000), entry(9, 1000))
	if one.Balance() != 228 || two.Balance() != 2028 || wide.Balance() != 28 {
		t.Fatalf("%v %v", one, two)
	}
	if base.With().Len() != 3 {
		t.Fatal("With nothing")
	}
}

func TestSortedLeavesTheOriginal(t *testing.T) {
	s := NewStatement("a", entry(9, 1), entry(2, 2))
	_ = s.Sorted()
	if s.Lines()[0][:6] != "09.03." {
		t.Fatalf("got %v", s.Lines())
	}
}
