package queue

import "container/heap"

// order is a heap of the messages that are ready.
type order []*Message

func (o order) Len() int { return len(o) }

func (o order) Less(i, j int) bool {
	if o[i].Priority != o[j].Priority {
		return o[i].Priority > o[j].Priority
	}
	return o[i].number < o[j].number
}

func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].at, o[j].at = i, j
}

// Push is for container/heap.
func (o *order) Push(item any) {
	message := item.(*Message)
	message.at = len(*o)
	*o = append(*o, message)
}

// Pop is for container/heap.
func (o *order) Pop() any {
	all := *o
	last := all[len(all)-1]
	*o = all[:len(all)-1]
	return last
}

var _ heap.Interface = (*order)(nil)
