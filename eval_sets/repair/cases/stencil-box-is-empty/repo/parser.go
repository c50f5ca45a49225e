package stencil

import "fmt"

// node is a text, a value or a loop.
type node interface {
	render(*scope, *output) error
}

type textNode string

type valueNode struct {
	name    string
	filters []call
	line    int
}

type call struct {
	name     string
	argument string
}

type loopNode struct {
	variable string
	list     string
	body     []node
	line     int
}

// parse makes a tree of the parts of a source.
func parse(parts [][]token) ([]node, error) {
	nodes, rest, err := block(parts, false)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("line %d: end without each", rest[0][0].line)
	}
	return nodes, err
}

// block reads nodes up to the end of the source or, for the body of a loop, its {{end}}. It returns what it has not read.
func block(parts [][]token, inLoop bool) ([]node, [][]token, error) {
	var nodes []node
	for len(parts) > 0 {
		part := parts[0]
		switch {
		case len(part) == 0:
			return nil, nil, fmt.Errorf("there is nothing between some braces")
		case part[0].kind == kindText:
			nodes = append(nodes, textNode(part[0].text))
			parts = parts[1:]
		case len(part) == 1 && part[0].text == "end" && part[0].kind == kindWord:
			if inLoop {
				return nodes, parts[1:], nil
			}
			return nodes, parts, nil
		case len(part) == 4 && part[0].text == "each" && part[2].text == "in":
			body, rest, err := block(parts[1:], true)
			if err != nil {
				return nil, nil, err
			}
			nodes = append(nodes, loopNode{part[1].text, part[3].text, body, part[0].line})
			parts = rest
		default:
			value, err := value(part)
			if err != nil {
				return nil, nil, err
			}
			nodes = append(nodes, value)
			parts = parts[1:]
		}
	}
	if inLoop {
		return nil, nil, fmt.Errorf("a loop has no end")
	}
	return nodes, nil, nil
}

// value reads name|filter|filter:"argument".
func value(part []token) (node, error) {
	if part[0].kind != kindWord {
		return nil, fmt.Errorf("line %d: %q is no name", part[0].line, part[0].text)
	}
	found := valueNode{name: part[0].text, line: part[0].line}
	for at := 1; at < len(part); {
		if part[at].text != "|" || at+1 >= len(part) || part[at+1].kind != kindWord {
			return nil, fmt.Errorf("line %d: unexpected %q", part[at].line, part[at].text)
		}
		filter := call{name: part[at+1].text}
		at += 2
		if at+1 < len(part) && part[at].text == ":" && part[at].kind == kindMark {
			filter.argument = part[at+1].text
			at += 2
		}
		found.filters = append(found.filters, filter)
	}
	return found, nil
}
