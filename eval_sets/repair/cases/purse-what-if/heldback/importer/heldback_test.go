package importer

import (
	"errors"
	"strings"
	"testing"

	"example.com/purse/amount"
)

func TestEachProblemIsWhatItIs(t *testing.T) {
	for line, want := range map[string]error{
		"2024-03-01;a;x":                          amount.ErrSyntax,
		"2024-03-01;a;1.234":                      amount.ErrSyntax,
		"2024-03-01;a;1.x5":                       amount.ErrSyntax,
		"2024-03-01;a;1,2345":                     amount.ErrSyntax,
		"2024-03-01;a;9,999,999,999,999,999":      amount.ErrRange,
		"2024-03-01;a;99999999999999999999999.00": amount.ErrRange,
		"2024-3-1;a;1.00":                         ErrLine,
		"2024-03-01;a":                            ErrLine,
	} {
		_, err := Read(strings.NewReader("\n\n" + line))
		var problem *Problem
		if !errors.Is(err, want) || !errors.As(err, &problem) || problem.Line != 3 {
			t.Errorf("%s: %v", line, err)
		}
		if !strings.HasPrefix(err.Error(), "line 3: ") {
			t.Errorf("got %q", err)
		}
	}
}

func TestLenientOfAll(t *testing.T) {
	entries, left, err := ReadLenient(strings.NewReader("2024-03-01;a;x\n2024-03-01;a;99999999999999999999\n#\n2024-03-01;a;1.5\n2024-03-01;a;7"))
	if err != nil || left != 3 || len(entries) != 1 || entries[0].Value != 700 {
		t.Fatalf("%v, %d, %v", entries, left, err)
	}
}
