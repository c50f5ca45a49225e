// Package stencil fills in texts: {{name}}, {{name|filter:"argument"}}, {{each item in list}} … {{end}}.
package stencil

import (
	"fmt"
	"strings"
)

type kind int

const (
	kindText kind = iota
	kindWord
	kindString
	kindMark
)

type token struct {
	kind kind
	text string
	line int
}

// split divides a source into its texts and the inside of its braces.
func split(source string) ([][]token, error) {
	var parts [][]token
	line := 1
	for source != "" {
		text, rest, found := strings.Cut(source, "{{")
		if text != "" {
			parts = append(parts, []token{{kindText, text, line}})
			line += strings.Count(text, "\n")
		}
		if !found {
			break
		}
		tokens, left, err := inside(rest, line)
		if err != nil {
			return nil, err
		}
		parts = append(parts, tokens)
		line += strings.Count(rest[:len(rest)-len(left)], "\n")
		source = left
	}
	return parts, nil
}

// inside reads tokens until the closing braces. It returns what follows them.
func inside(source string, line int) ([]token, string, error) {
	tokens := []token{}
	at := 0
	for at < len(source) {
		letter := source[at]
		switch {
		case strings.HasPrefix(source[at:], "}}"):
			return tokens, source[at+2:], nil
		case letter == ' ' || letter == '\n' || letter == '\t':
			at++
		case letter == '"':
			value, length, err := quoted(source[at:], line)
			if err != nil {
				return nil, "", err
			}
			tokens = append(tokens, token{kindString, value, line})
			at += length
		case strings.IndexByte("|:", letter) >= 0:
			tokens = append(tokens, token{kindMark, string(letter), line})
			at++
		case isWord(letter):
			end := at
			for end < len(source) && isWord(source[end]) {
				end++
			}
			tokens = append(tokens, token{kindWord, source[at:end], line})
			at = end
		default:
			return nil, "", fmt.Errorf("line %d: unexpected %q", line, letter)
		}
	}
	return nil, "", fmt.Errorf("line %d: braces are not closed", line)
}

// quoted reads a string; a backslash stands before a quote or a backslash that belongs to it, and \n is a new line.
// It returns how many bytes of the source it took.
func quoted(source string, line int) (string, int, error) {
	var value strings.Builder
	for at := 1; at < len(source); at++ {
		switch source[at] {
		case '"':
			return value.String(), at + 1, nil
		case '\\':
			at++
			if at < len(source) && source[at] == 'n' {
				value.WriteByte('\n')
			} else if at < len(source) {
				value.WriteByte(source[at])
			}
		default:
			value.WriteByte(source[at])
		}
	}
	return "", 0, fmt.Errorf("line %d: a string is not closed", line)
}

func isWord(letter byte) bool {
	return letter == '_' || letter == '.' || letter >= '0' && letter <= '9' || letter >= 'a' && letter <= 'z' ||
		letter >= 'A' && letter <= 'Z'
}
