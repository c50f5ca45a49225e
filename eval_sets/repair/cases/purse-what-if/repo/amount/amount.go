// Package amount holds amounts of money as whole cents.
package amount

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Amount is in cents.
type Amount int64

// ErrSyntax is for a text that is no amount, ErrRange for one that is too large.
var (
	ErrSyntax = errors.New("not an amount")
	ErrRange  = errors.New("too large an amount")
)

// most is the largest number of whole units that is read.
const most = 1_000_000_000_000

// String writes an amount with two decimals and commas between thousands: -1,234.50.
func (a Amount) String() string {
	sign := ""
	if a < 0 {
		sign, a = "-", -a
	}
	units := strconv.FormatInt(int64(a/100), 10)
	for at := len(units) - 3; at > 0; at -= 3 {
		units = units[:at] + "," + units[at:]
	}
	return fmt.Sprintf("%s%s.%02d", sign, units, a%100)
}

// Parse reads what String writes. Commas may be left out, and so may decimals.
func Parse(text string) (Amount, error) {
	rest, negative := strings.CutPrefix(strings.TrimSpace(text), "-")
	whole, decimals, dotted := strings.Cut(rest, ".")
	units, err := parseWhole(whole)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	var cents int64
	if dotted {
		if len(decimals) != 2 || !digits(decimals) {
			return 0, fmt.Errorf("%q: %w", text, ErrSyntax)
		}
		cents, _ = strconv.ParseInt(decimals, 10, 64)
	}
	found := Amount(units*100 + cents)
	if negative {
		found = -found
	}
	return found, nil
}

func parseWhole(text string) (int64, error) {
	groups := strings.Split(text, ",")
	for at, group := range groups {
		if !digits(group) || (at > 0 && len(group) != 3) || (len(groups) > 1 && len(group) > 3) {
			return 0, ErrSyntax
		}
	}
	units, err := strconv.ParseInt(strings.Join(groups, ""), 10, 64)
	if err != nil || units > most {
		return 0, ErrRange
	}
	return units, nil
}

func digits(text string) bool {
	for _, letter := range text {
		if letter < '0' || letter > '9' {
			return false
		}
	}
	return text != ""
}

// Split shares an amount among weights so that no cent is lost: what is left over goes, cent by cent, to the first that
// have a weight. It returns nil if no weight is above 0.
func Split(total Amount, weights ...int64) []Amount {
	var sum int64
	for _, weight := range weights {
		sum += max(weight, 0)
	}
	if sum == 0 {
		return nil
	}
	parts := make([]Amount, len(weights))
	left := total
	for at, weight := range weights {
		parts[at] = total * Amount(max(weight, 0)) / Amount(sum)
		left -= parts[at]
	}
	cent := Amount(1)
	if left < 0 {
		cent = -1
	}
	for at := 0; left != 0; at = (at + 1) % len(parts) {
		if weights[at] > 0 {
			parts[at] += cent
			left -= cent
		}
	}
	return parts
}
