// Package report sums up what workers have done.
package report

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Worker is what one worker has done since it was last reported.
type Worker struct {
	Name   string
	Done   int
	Failed int
	Busy   time.Duration
	Seen   time.Time
	Idle   bool
}

// Board holds the workers.
type Board struct {
	idleAfter time.Duration
	workers   []Worker
}

// NewBoard makes a board on which a worker that was not seen for idleAfter is idle.
func NewBoard(idleAfter time.Duration) *Board {
	return &Board{idleAfter: idleAfter}
}

// Note adds what a worker did with one message.
func (b *Board) Note(name string, ok bool, took time.Duration, now time.Time) {
	worker := b.worker(name)
	if ok {
		worker.Done++
	} else {
		worker.Failed++
	}
	worker.Busy += took
	worker.Seen = now
	worker.Idle = false
}

// Mark finds out who is idle. It returns how many are.
func (b *Board) Mark(now time.Time) int {
	count := 0
	for _, worker := range b.workers {
		worker.Idle = now.Sub(worker.Seen) >= b.idleAfter
		if worker.Idle {
			count++
		}
	}
	return count
}

// Reset sets all numbers to zero for a new day. Workers and when they were seen are kept.
func (b *Board) Reset() {
	for i := range b.workers {
		b.workers[i].Done, b.workers[i].Failed, b.workers[i].Busy = 0, 0, 0
	}
}

// Lines returns a line for each worker, by name.
func (b *Board) Lines() []string {
	sorted := append([]Worker(nil), b.workers...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	var lines []string
	for _, worker := range sorted {
		mark := ""
		if worker.Idle {
			mark = " (idle)"
		}
		lines = append(lines, fmt.Sprintf("%s: %d done, %d failed, %s%s", worker.Name, worker.Done, worker.Failed,
			worker.Busy, mark))
	}
	return lines
}

func (b *Board) String() string {
	return strings.Join(b.Lines(), "\n")
}

func (b *Board) worker(name string) *Worker {
	for i := range b.workers {
		if b.workers[i].Name == name {
			return &b.workers[i]
		}
	}
	b.workers = append(b.workers, Worker{Name: name})
	return &b.workers[len(b.workers)-1]
}
