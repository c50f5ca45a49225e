package stencil

import (
	"fmt"
	"strings"
)

type output struct {
	strings.Builder
}

// scope holds what names stand for.
type scope struct {
	values map[string]any
}

func (s *scope) get(name string) (any, bool) {
	var value any = s.values
	for _, part := range strings.Split(name, ".") {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = inner[part]; !ok {
			return nil, false
		}
	}
	return value, true
}

// Template is a text that can be filled in many times.
type Template struct {
	nodes []node
}

// New reads a template.
func New(source string) (*Template, error) {
	parts, err := split(source)
	if err != nil {
		return nil, err
	}
	nodes, err := parse(parts)
	if err != nil {
		return nil, err
	}
	return &Template{nodes}, nil
}

// Render fills the template in. The values are the same afterwards.
func (t *Template) Render(values map[string]any) (string, error) {
	own := make(map[string]any, len(values))
	for name, value := range values {
		own[name] = value
	}
	out := &output{}
	err := all(t.nodes, &scope{own}, out)
	return out.String(), err
}

func all(nodes []node, s *scope, out *output) error {
	for _, one := range nodes {
		if err := one.render(s, out); err != nil {
			return err
		}
	}
	return nil
}

func (t textNode) render(_ *scope, out *output) error {
	out.WriteString(string(t))
	return nil
}

func (v valueNode) render(s *scope, out *output) error {
	value, there := s.get(v.name)
	text := ""
	if there {
		text = fmt.Sprint(value)
	}
	for _, filter := range v.filters {
		apply, known := filters[filter.name]
		if !known {
			return fmt.Errorf("line %d: no filter %q", v.line, filter.name)
		}
		var err error
		if text, err = apply(text, filter.argument); err != nil {
			return fmt.Errorf("line %d: %s: %w", v.line, filter.name, err)
		}
	}
	out.WriteString(text)
	return nil
}

// render fills in the body for each item. Outside of the loop, its variable is what it was before.
func (l loopNode) render(s *scope, out *output) error {
	found, there := s.get(l.list)
	if !there {
		return nil
	}
	items, ok := found.([]any)
	if !ok {
		return fmt.Errorf("line %d: %s is no list", l.line, l.list)
	}
	for _, item := range items {
		s.values[l.variable] = item
		if err := all(l.body, s, out); err != nil {
			return err
		}
	}
	delete(s.values, l.variable)
	return nil
}
