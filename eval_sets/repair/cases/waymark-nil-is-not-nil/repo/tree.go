// Package waymark finds out what a request is for, by its method and path.
package waymark

import (
	"sort"
	"strings"
)

// node is one segment of paths. Fixed names go before a parameter, and that before a rest of any length.
type node struct {
	fixed    map[string]*node
	param    *node
	rest     *node
	name     string
	handlers map[string]string
	pattern  string
}

func (n *node) child(segment string) *node {
	switch {
	case strings.HasPrefix(segment, ":"):
		if n.param == nil {
			n.param = &node{name: segment[1:]}
		}
		return n.param
	case strings.HasPrefix(segment, "*"):
		if n.rest == nil {
			n.rest = &node{name: segment[1:]}
		}
		return n.rest
	}
	if n.fixed == nil {
		n.fixed = map[string]*node{}
	}
	if n.fixed[segment] == nil {
		n.fixed[segment] = &node{}
	}
	return n.fixed[segment]
}

// find returns the node for the segments, which are left to right, and notes parameters on the way.
func (n *node) find(segments []string, params map[string]string) *node {
	if len(segments) == 0 {
		if n.handlers != nil {
			return n
		}
		return nil
	}
	first, others := segments[0], segments[1:]
	if next, there := n.fixed[first]; there {
		if found := next.find(others, params); found != nil {
			return found
		}
	}
	if n.param != nil && first != "" {
		if found := n.param.find(others, params); found != nil {
			params[n.param.name] = first
			return found
		}
	}
	if n.rest != nil && n.rest.handlers != nil {
		params[n.rest.name] = strings.Join(segments, "/")
		return n.rest
	}
	return nil
}

// methods returns what may be asked of the node, sorted. Who may GET may also HEAD.
func (n *node) methods() []string {
	var found []string
	for method := range n.handlers {
		found = append(found, method)
	}
	if _, there := n.handlers["GET"]; there {
		if _, own := n.handlers["HEAD"]; !own {
			found = append(found, "HEAD")
		}
	}
	sort.Strings(found)
	return found
}
