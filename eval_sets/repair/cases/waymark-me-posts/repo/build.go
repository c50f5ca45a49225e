package waymark

import (
	"fmt"
	"strings"
)

// Path fills in a pattern. Each parameter needs a value, and a value must not be empty.
func Path(pattern string, values map[string]string) (string, error) {
	segments := strings.Split(pattern, "/")
	for at, segment := range segments {
		if !strings.HasPrefix(segment, ":") && !strings.HasPrefix(segment, "*") {
			continue
		}
		value := values[segment[1:]]
		if value == "" {
			return "", fmt.Errorf("no value for %s in %s", segment[1:], pattern)
		}
		if segment[0] == ':' {
			value = escaped(value)
		} else {
			parts := strings.Split(value, "/")
			for i := range parts {
				parts[i] = escaped(parts[i])
			}
			value = strings.Join(parts, "/")
		}
		segments[at] = value
	}
	return strings.Join(segments, "/"), nil
}

const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"

func escaped(text string) string {
	var out strings.Builder
	for at := 0; at < len(text); at++ {
		if strings.IndexByte(plain, text[at]) >= 0 {
			out.WriteByte(text[at])
		} else {
			fmt.Fprintf(&out, "%%%02X", text[at])
		}
	}
	return out.String()
}
