package waymark

import (
	"math/rand"
	"reflect"
	"sort"
	"strings"
	"testing"
)

// slow tries all patterns in the order in which they should be preferred.
func slow(patterns []string, path string) (string, map[string]string) {
	rank := func(segment string) string {
		return string(map[byte]byte{':': '1', '*': '2'}[segment[0]]) + segment
	}
	sorted := append([]string(nil), patterns...)
	sort.Slice(sorted, func(i, j int) bool {
		one, other := strings.Split(sorted[i][1:], "/"), strings.Split(sorted[j][1:], "/")
		for at := 0; at < len(one) && at < len(other); at++ {
			if a, b := rank(one[at])[0], rank(other[at])[0]; a != b {
				return a < b
			}
		}
		return len(one) > len(other)
	})
	segments := strings.Split(path[1:], "/")
	for _, pattern := range sorted {
		params, fits := map[string]string{}, true
		wanted := strings.Split(pattern[1:], "/")
		for at, one := range wanted {
			if at >= len(segments) {
				fits = false
			} else if one[0] == '*' {
				params[one[1:]] = strings.Join(segments[at:], "/")
			} else if one[0] == ':' {
				params[one[1:]] = segments[at]
			} else if one != segments[at] {
				fits = false
			}
		}
		if wanted[len(wanted)-1][0] != '*' && len(wanted) != len(segments) {
			fits = false
		}
		if fits {
			return pattern, params
		}
	}
	return "", nil
}

func TestAgainstTryingAll(t *testing.T) {
	rng := rand.New(rand.NewSource(4))
	words := []string{"a", "b"}
	for round := 0; round < 150; round++ {
		router, patterns := &Router{}, []string{}
		for n := 0; n < 5; n++ {
			pattern := ""
			for depth := rng.Intn(3); depth >= 0; depth-- {
				pattern += "/" + []string{"a", "b", ":p" + string(rune('0'+strings.Count(pattern, "/")))}[rng.Intn(3)]
			}
			if rng.Intn(4) == 0 {
				pattern += "/*rest"
			}
			if router.Add("GET", pattern, pattern) == nil {
				patterns = append(patterns, pattern)
			}
		}
		for n := 0; n < 20; n++ {
			path := ""
			for depth := rng.Intn(4); depth >= 0; depth-- {
				path += "/" + append(words, "c")[rng.Intn(3)]
			}
			want, params := slow(patterns, path)
			match := router.Match("GET", path)
			if match.Handler != want {
				t.Fatalf("%v, %s: %q, not %q", patterns, path, match.Handler, want)
			}
			if want != "" && !reflect.DeepEqual(match.Params, params) {
				t.Fatalf("%v, %s: %v, not %v", patterns, path, match.Params, params)
			}
		}
	}
}

func TestGoodRoutesGiveNoError(t *testing.T) {
	router := &Router{}
	for _, pattern := range []string{"/", "/a", "/a/", "/a/:x", "/a/:x/*y", "/:z/a"} {
		var err error = router.Add("GET", pattern, "h")
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	err := router.Add("GET", "/a/:x/:x", "h")
	if err == nil || err.Error() != "route /a/:x/:x: has two parameters with one name" {
		t.Errorf("got %v", err)
	}
	if err := router.Add("", "/q", "h"); err == nil {
		t.Error("no method")
	}
}

func TestEmptySegments(t *testing.T) {
	router := routes(t, "/a/:x", "/b/", "/c/*x")
	for path, want := range map[string]Status{"/a/": NotFound, "/b/": Found, "/b": NotFound, "/c/": Found, "/a/1/": NotFound} {
		if got := router.Match("GET", path).Status; got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
