package stencil

import (
	"strconv"
	"strings"
	"unicode"
)

var filters = map[string]func(text, argument string) (string, error){
	"upper":    func(text, _ string) (string, error) { return strings.ToUpper(text), nil },
	"title":    title,
	"default":  orElse,
	"truncate": truncate,
	"indent":   indent,
}

func orElse(text, argument string) (string, error) {
	if text == "" {
		return argument, nil
	}
	return text, nil
}

// title makes the first letter of each word large.
func title(text, _ string) (string, error) {
	before := ' '
	return strings.Map(func(letter rune) rune {
		defer func() { before = letter }()
		if unicode.IsSpace(before) {
			return unicode.ToUpper(letter)
		}
		return letter
	}, text), nil
}

// truncate keeps so many letters; the last is then an ellipsis.
func truncate(text, argument string) (string, error) {
	most, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	letters := []byte(text)
	if len(letters) <= most {
		return text, nil
	}
	if most < 1 {
		return "", nil
	}
	return string(letters[:most-1]) + "…", nil
}

// indent puts an argument before each line but the first, and not before empty ones.
func indent(text, argument string) (string, error) {
	lines := strings.Split(text, "\n")
	for at := 1; at < len(lines); at++ {
		if lines[at] != "" {
			lines[at] = argument + lines[at]
		}
	}
	return strings.Join(lines, "\n"), nil
}
