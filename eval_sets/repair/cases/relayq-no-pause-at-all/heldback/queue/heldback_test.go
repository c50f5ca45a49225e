package queue

import (
	"fmt"
	"math/rand"
	"testing"
	"time"
)

func TestPrioritiesChangeAtRandom(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	for round := 0; round < 60; round++ {
		q := New(time.Minute, 99)
		priorities, numbers := map[string]int{}, map[string]int{}
		for n := 0; n < 12; n++ {
			id := fmt.Sprintf("m%02d", n)
			priorities[id], numbers[id] = rng.Intn(4), n
			q.Add(id, "", priorities[id])
		}
		for change := 0; change < 10; change++ {
			id := fmt.Sprintf("m%02d", rng.Intn(12))
			priorities[id] = rng.Intn(6)
			if err := q.Promote(id, priorities[id]); err != nil {
				t.Fatal(err)
			}
		}
		last, count := "", 0
		for {
			message, _ := q.Take(start)
			if message == nil {
				break
			}
			count++
			if last != "" {
				higher := priorities[last] > priorities[message.ID]
				equal := priorities[last] == priorities[message.ID] && numbers[last] < numbers[message.ID]
				if !higher && !equal {
					t.Fatalf("%s came after %s", message.ID, last)
				}
			}
			last = message.ID
		}
		if count != 12 {
			t.Fatalf("%d messages", count)
		}
	}
}

func TestPromotedWhileTaken(t *testing.T) {
	q := New(time.Minute, 3)
	q.Add("a", "", 4)
	q.Add("b", "", 2)
	q.Add("c", "", 3)
	_, receipt := q.Take(start)
	if err := q.Promote("a", 9); err != nil {
		t.Fatal(err)
	}
	if q.Count()[Taken] != 1 || q.Count()[Ready] != 2 {
		t.Fatalf("got %v", q.Count())
	}
	if err := q.Fail("a", receipt); err != nil {
		t.Fatal(err)
	}
	if got := ids(q); got != "acb" {
		t.Fatalf("got %q", got)
	}
}

func TestLowered(t *testing.T) {
	q := New(time.Minute, 3)
	for n, id := range []string{"a", "b", "c"} {
		q.Add(id, "", 9-n)
	}
	if err := q.Promote("a", 0); err != nil {
		t.Fatal(err)
	}
	if got := ids(q); got != "bca" {
		t.Fatalf("got %q", got)
	}
}
