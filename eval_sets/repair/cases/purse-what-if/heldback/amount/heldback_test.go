package amount

import (
	"math/rand"
	"strings"
	"testing"
)

func TestThereAndBack(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for n := 0; n < 2000; n++ {
		value := Amount(rng.Int63n(1 << uint(rng.Intn(40)+1)))
		if n%2 == 0 {
			value = -value
		}
		text := value.String()
		for _, form := range []string{text, strings.ReplaceAll(text, ",", "")} {
			if got, err := Parse(form); err != nil || got != value {
				t.Fatalf("%d is written %s and read as %d, %v", int64(value), text, int64(got), err)
			}
		}
	}
	for value, want := range map[Amount]string{-1: "-0.01", -99: "-0.99", -100: "-1.00", -100000: "-1,000.00", 99: "0.99"} {
		if value.String() != want {
			t.Errorf("%s, not %s", value, want)
		}
	}
}

func TestNoCentIsLost(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	for n := 0; n < 500; n++ {
		total := Amount(rng.Intn(2001) - 1000)
		weights := make([]int64, rng.Intn(5)+1)
		weights[0] = 1
		for at := range weights {
			weights[at] += int64(rng.Intn(4))
		}
		var sum Amount
		for at, part := range Split(total, weights...) {
			if weights[at] == 0 && part != 0 {
				t.Fatalf("%v: %v", weights, part)
			}
			sum += part
		}
		if sum != total {
			t.Fatalf("%v: %v", total, sum)
		}
	}
}
