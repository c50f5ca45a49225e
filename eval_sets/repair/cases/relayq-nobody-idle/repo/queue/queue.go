package queue

import (
	"container/heap"
	"errors"
	"sort"
	"time"
)

// ErrUnknown is for an id that is not in the queue, ErrLate for a receipt that is no longer valid.
var (
	ErrUnknown = errors.New("queue: no such message")
	ErrLate    = errors.New("queue: the message was given to somebody else meanwhile")
)

// Queue gives each message to one worker at a time. It is not safe for concurrent use.
type Queue struct {
	lease    time.Duration
	maxTries int
	messages map[string]*Message
	ready    order
	number   int
	receipts int
}

// New makes a queue. A worker has a message for lease; one that was taken maxTries times without success is dead.
func New(lease time.Duration, maxTries int) *Queue {
	return &Queue{lease: lease, maxTries: maxTries, messages: map[string]*Message{}}
}

// Add puts a message into the queue. One with the same id that is there already stays as it is.
func (q *Queue) Add(id, body string, priority int) {
	if _, there := q.messages[id]; there {
		return
	}
	q.number++
	message := &Message{ID: id, Body: body, Priority: priority, number: q.number}
	q.messages[id] = message
	heap.Push(&q.ready, message)
}

// Take gives the next message away, with a receipt for it. It returns nil when none is ready.
func (q *Queue) Take(now time.Time) (*Message, int) {
	q.expire(now)
	if q.ready.Len() == 0 {
		return nil, 0
	}
	message := heap.Pop(&q.ready).(*Message)
	q.receipts++
	message.State = Taken
	message.Tries++
	message.due = now.Add(q.lease)
	message.receipt = q.receipts
	return message, message.receipt
}

// Done removes a message that was dealt with.
func (q *Queue) Done(id string, receipt int) error {
	if _, err := q.taken(id, receipt); err != nil {
		return err
	}
	delete(q.messages, id)
	return nil
}

// Fail gives a message back, for another try if it has any left.
func (q *Queue) Fail(id string, receipt int) error {
	message, err := q.taken(id, receipt)
	if err != nil {
		return err
	}
	q.release(message)
	return nil
}

// Promote changes the priority of a message, wherever it is.
func (q *Queue) Promote(id string, priority int) error {
	message, there := q.messages[id]
	if !there {
		return ErrUnknown
	}
	message.Priority = priority
	if message.State == Ready {
		heap.Fix(&q.ready, message.at)
	}
	return nil
}

// Count returns how many messages are in each state.
func (q *Queue) Count() map[State]int {
	found := map[State]int{}
	for _, message := range q.messages {
		found[message.State]++
	}
	return found
}

func (q *Queue) taken(id string, receipt int) (*Message, error) {
	message, there := q.messages[id]
	if !there {
		return nil, ErrUnknown
	}
	if message.State != Taken || message.receipt != receipt {
		return nil, ErrLate
	}
	return message, nil
}

// expire releases what workers have kept for too long, in the order in which it was taken.
func (q *Queue) expire(now time.Time) {
	var late []*Message
	for _, message := range q.messages {
		if message.State == Taken && !now.Before(message.due) {
			late = append(late, message)
		}
	}
	sort.Slice(late, func(i, j int) bool { return late[i].receipt < late[j].receipt })
	for _, message := range late {
		q.release(message)
	}
}

func (q *Queue) release(message *Message) {
	if message.Tries >= q.maxTries {
		message.State = Dead
		return
	}
	message.State = Ready
	heap.Push(&q.ready, message)
}
