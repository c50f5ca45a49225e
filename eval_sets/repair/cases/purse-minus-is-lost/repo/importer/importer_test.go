package importer

import (
	"errors"
	"strings"
	"testing"

	"example.com/purse/amount"
)

const text = `# March
2024-03-01;Rent;-700.00

2024-03-02;Salary;2,000.00
`

func TestRead(t *testing.T) {
	entries, err := Read(strings.NewReader(text))
	if err != nil || len(entries) != 2 || entries[1].Value != 200000 {
		t.Fatalf("got %v, %v", entries, err)
	}
}

func TestProblems(t *testing.T) {
	_, err := Read(strings.NewReader("2024-03-01;Rent;-700.00\n2024-03-41;x;1.00"))
	var problem *Problem
	if !errors.As(err, &problem) || problem.Line != 2 || !errors.Is(err, ErrLine) {
		t.Fatalf("got %v", err)
	}
	if _, err := Read(strings.NewReader("a;b")); !errors.Is(err, ErrLine) {
		t.Fatalf("got %v", err)
	}
}

func TestLenient(t *testing.T) {
	entries, left, err := ReadLenient(strings.NewReader(text + "2024-03-03;Dinner;about 30\n2024-03-04;Tea;3.00\n"))
	if err != nil || left != 1 || len(entries) != 3 {
		t.Fatalf("%d entries, %d left out, %v", len(entries), left, err)
	}
	_, _, err = ReadLenient(strings.NewReader("nothing\n"))
	if !errors.Is(err, ErrLine) || errors.Is(err, amount.ErrSyntax) {
		t.Fatalf("got %v", err)
	}
}
