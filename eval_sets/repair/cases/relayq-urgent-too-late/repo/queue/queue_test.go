package queue

import (
	"errors"
	"testing"
	"time"
)

var start = time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)

func ids(q *Queue) string {
	found := ""
	for {
		message, _ := q.Take(start)
		if message == nil {
			return found
		}
		found += message.ID
	}
}

func TestOrder(t *testing.T) {
	q := New(time.Minute, 3)
	q.Add("a", "", 1)
	q.Add("b", "", 5)
	q.Add("c", "", 1)
	q.Add("b", "again", 9)
	if got := ids(q); got != "bac" {
		t.Fatalf("got %q", got)
	}
}

func TestPromote(t *testing.T) {
	q := New(time.Minute, 3)
	for _, id := range []string{"a", "b", "c", "d"} {
		q.Add(id, "", 1)
	}
	if err := q.Promote("d", 7); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(q.Promote("x", 1), ErrUnknown) {
		t.Fatal("promoted what is not there")
	}
	if got := ids(q); got != "dabc" {
		t.Fatalf("got %q", got)
	}
}

func TestReceipts(t *testing.T) {
	q := New(time.Minute, 3)
	q.Add("a", "", 0)
	_, first := q.Take(start)
	message, second := q.Take(start.Add(time.Minute))
	if message == nil || message.Tries != 2 {
		t.Fatalf("got %v", message)
	}
	if err := q.Done("a", first); !errors.Is(err, ErrLate) {
		t.Fatalf("got %v", err)
	}
	if err := q.Done("a", second); err != nil {
		t.Fatal(err)
	}
}

func TestDead(t *testing.T) {
	q := New(time.Minute, 1)
	q.Add("a", "", 0)
	_, receipt := q.Take(start)
	if err := q.Fail("a", receipt); err != nil {
		t.Fatal(err)
	}
	if q.Count()[Dead] != 1 {
		t.Fatalf("got %v", q.Count())
	}
}
