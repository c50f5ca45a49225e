// Package book keeps entries of accounts.
package book

import (
	"fmt"
	"sort"
	"time"

	"example.com/purse/amount"
)

// Entry is one movement.
type Entry struct {
	Day   time.Time
	Text  string
	Value amount.Amount
}

// Statement is a list of entries that does not change: With makes a new one.
type Statement struct {
	Account string
	entries []Entry
}

// NewStatement makes a statement of an account.
func NewStatement(account string, entries ...Entry) Statement {
	return Statement{Account: account, entries: append([]Entry(nil), entries...)}
}

// With returns a statement with more entries at its end. The old one stays as it is.
func (s Statement) With(more ...Entry) Statement {
	entries := make([]Entry, 0, len(s.entries)+len(more))
	entries = append(entries, s.entries...)
	return Statement{Account: s.Account, entries: append(entries, more...)}
}

// Len is the number of entries.
func (s Statement) Len() int { return len(s.entries) }

// Balance is the sum of all entries.
func (s Statement) Balance() amount.Amount {
	var sum amount.Amount
	for _, entry := range s.entries {
		sum += entry.Value
	}
	return sum
}

// Between returns the entries from one day until before another.
func (s Statement) Between(from, to time.Time) []Entry {
	var found []Entry
	for _, entry := range s.entries {
		if !entry.Day.Before(from) && entry.Day.Before(to) {
			found = append(found, entry)
		}
	}
	return found
}

// Sorted returns a statement with its entries by day; those of one day stay in their order.
func (s Statement) Sorted() Statement {
	sorted := NewStatement(s.Account, s.entries...)
	sort.SliceStable(sorted.entries, func(i, j int) bool { return sorted.entries[i].Day.Before(sorted.entries[j].Day) })
	return sorted
}

// Lines returns a line for each entry with the balance after it.
func (s Statement) Lines() []string {
	var lines []string
	var balance amount.Amount
	for _, entry := range s.entries {
		balance += entry.Value
		lines = append(lines, fmt.Sprintf("%s %-20s %12s %12s", entry.Day.Format("02.01."), entry.Text, entry.Value, balance))
	}
	return lines
}
