// Package queue keeps messages until a worker has dealt with them.
package queue

import "time"

// State is where a message is in its life.
type State int

const (
	Ready State = iota
	Taken
	Dead
)

func (s State) String() string {
	return [...]string{"ready", "taken", "dead"}[s]
}

// Message is one piece of work. Higher priorities come first, and older messages among equals.
type Message struct {
	ID       string
	Body     string
	Priority int
	Tries    int
	State    State

	number  int
	at      int
	due     time.Time
	receipt int
}
