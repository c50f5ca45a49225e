// Package importer reads entries from the text files of banks: day;text;value.
package importer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"example.com/purse/amount"
	"example.com/purse/book"
)

// ErrLine is for a line that has not three fields, or a day that is none.
var ErrLine = errors.New("not a line of a bank")

// Problem is an error with the number of its line.
type Problem struct {
	Line int
	Err  error
}

func (p *Problem) Error() string { return fmt.Sprintf("line %d: %v", p.Line, p.Err) }

// Unwrap returns what was wrong with the line.
func (p *Problem) Unwrap() error { return p.Err }

// Read reads all entries. Empty lines and those that begin with # are left out. It stops at the first problem.
func Read(source io.Reader) ([]book.Entry, error) {
	var entries []book.Entry
	lines := bufio.NewScanner(source)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := parse(line)
		if err != nil {
			return entries, &Problem{number, err}
		}
		entries = append(entries, entry)
	}
	return entries, lines.Err()
}

// ReadLenient reads what it can. It returns how many lines had an amount that could not be read and were left out; any
// other problem ends it.
func ReadLenient(source io.Reader) (entries []book.Entry, left int, err error) {
	lines := bufio.NewScanner(source)
	for lines.Scan() {
		found, err := Read(strings.NewReader(lines.Text()))
		switch {
		case errors.Is(err, amount.ErrSyntax) || errors.Is(err, amount.ErrRange):
			left++
		case err != nil:
			return entries, left, err
		default:
			entries = append(entries, found...)
		}
	}
	return entries, left, lines.Err()
}

func parse(line string) (book.Entry, error) {
	fields := strings.Split(line, ";")
	if len(fields) != 3 {
		return book.Entry{}, fmt.Errorf("%d fields: %w", len(fields), ErrLine)
	}
	day, err := time.Parse("2006-01-02", fields[0])
	if err != nil {
		return book.Entry{}, fmt.Errorf("%q is no day: %w", fields[0], ErrLine)
	}
	value, err := amount.Parse(fields[2])
	if err != nil {
		return book.Entry{}, fmt.Errorf("value: %w", err)
	}
	return book.Entry{Day: day, Text: strings.TrimSpace(fields[1]), Value: value}, nil
}
