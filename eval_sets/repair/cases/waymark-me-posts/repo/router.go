package waymark

import (
	"fmt"
	"net/url"
	"strings"
)

// Router holds routes: names of handlers by method and path.
type Router struct {
	root node
}

// RouteError says what is wrong with a route.
type RouteError struct {
	Pattern string
	Reason  string
}

func (e *RouteError) Error() string { return fmt.Sprintf("route %s: %s", e.Pattern, e.Reason) }

// Status of an answer.
type Status int

const (
	Found Status = iota
	NotFound
	NotAllowed
)

// Match is what a request is for. Allowed is for NotAllowed alone.
type Match struct {
	Status  Status
	Handler string
	Pattern string
	Params  map[string]string
	Allowed []string
}

// Add adds a route: /users/:id for one segment with a name, /files/*path for all that follows.
func (r *Router) Add(method, pattern, handler string) error {
	if err := check(method, pattern); err != nil {
		return err
	}
	at := &r.root
	for _, segment := range strings.Split(pattern[1:], "/") {
		at = at.child(segment)
		if named := strings.TrimLeft(segment, ":*"); at.name != "" && at.name != named {
			return &RouteError{pattern, fmt.Sprintf("%s is called %s in another route", named, at.name)}
		}
	}
	if at.handlers == nil {
		at.handlers = map[string]string{}
		at.pattern = pattern
	}
	if _, there := at.handlers[method]; there {
		return &RouteError{pattern, "is there already"}
	}
	at.handlers[method] = handler
	return nil
}

func check(method, pattern string) error {
	problem := func(reason string) error { return &RouteError{pattern, reason} }
	if method == "" || method != strings.ToUpper(method) {
		return problem("the method is not in capitals")
	}
	if !strings.HasPrefix(pattern, "/") {
		return problem("does not begin with a slash")
	}
	segments := strings.Split(pattern[1:], "/")
	seen := map[string]bool{}
	for at, segment := range segments {
		if segment == ":" || segment == "*" {
			return problem("has a parameter without a name")
		}
		if strings.HasPrefix(segment, "*") && at != len(segments)-1 {
			return problem("goes on after its rest")
		}
		if strings.HasPrefix(segment, ":") || strings.HasPrefix(segment, "*") {
			if seen[segment[1:]] {
				return problem("has two parameters with one name")
			}
			seen[segment[1:]] = true
		}
	}
	return nil
}

// Match finds the route for a request. Parameters are decoded: %2F in a segment is a slash that does not divide.
func (r *Router) Match(method, path string) Match {
	path = strings.TrimPrefix(path, "/")
	params := map[string]string{}
	at := r.root.find(strings.Split(path, "/"), params)
	if at == nil {
		return Match{Status: NotFound}
	}
	for name, value := range params {
		if decoded, err := url.PathUnescape(value); err == nil {
			params[name] = decoded
		}
	}
	handler, there := at.handlers[method]
	if !there && method == "HEAD" {
		handler, there = at.handlers["GET"]
	}
	if !there {
		return Match{Status: NotAllowed, Pattern: at.pattern, Allowed: at.methods()}
	}
	return Match{Found, handler, at.pattern, params, nil}
}
