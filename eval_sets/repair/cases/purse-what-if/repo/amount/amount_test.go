package amount

import (
	"errors"
	"testing"
)

func TestString(t *testing.T) {
	for value, want := range map[Amount]string{0: "0.00", 5: "0.05", 123456: "1,234.56", 100000000: "1,000,000.00",
		-123450: "-1,234.50"} {
		if got := value.String(); got != want {
			t.Errorf("%d: %s, not %s", int64(value), got, want)
		}
	}
}

func TestSmallDebt(t *testing.T) {
	if got := Amount(-75).String(); got != "-0.75" {
		t.Errorf("got %s", got)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Amount{"1,234.50": 123450, " 12 ": 1200, "-0.05": -5, "1000": 100000} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "1.5", "1,23", "--1", "1.-5", ",100", "1234,567"} {
		if _, err := Parse(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Parse("99999999999999999999"); !errors.Is(err, ErrRange) {
		t.Errorf("got %v", err)
	}
}

func TestSplit(t *testing.T) {
	parts := Split(100, 1, 1, 1)
	if parts[0] != 34 || parts[1] != 33 || parts[2] != 33 {
		t.Errorf("got %v", parts)
	}
	if Split(100, 0, 0) != nil {
		t.Error("shared among nobody")
	}
}
