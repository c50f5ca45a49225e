// Package retry says how long to wait before the next try.
package retry

import "time"

// Pauses doubles from First up to Most.
type Pauses struct {
	First time.Duration
	Most  time.Duration
}

// Before returns the pause before a try. The first try, 1, is made at once; the pause before the second is First.
func (p Pauses) Before(try int) time.Duration {
	if try <= 1 {
		return 0
	}
	pause := p.First
	for ; try > 2; try-- {
		if pause >= p.Most/2 {
			return p.Most
		}
		pause *= 2
	}
	return min(pause, p.Most)
}

// Total returns the sum of all pauses of so many tries.
func (p Pauses) Total(tries int) time.Duration {
	var total time.Duration
	for try := 1; try <= tries; try++ {
		total += p.Before(try)
	}
	return total
}
