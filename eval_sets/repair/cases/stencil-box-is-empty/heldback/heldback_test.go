package stencil

import (
	"math/rand"
	"strings"
	"testing"
)

func TestAnyStringThereAndBack(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for n := 0; n < 400; n++ {
		var value strings.Builder
		for i := rng.Intn(7); i > 0; i-- {
			value.WriteString([]string{`"`, `\`, "a", "n", " ", "}}", "é", "\n"}[rng.Intn(8)])
		}
		written := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value.String())
		same(t, filled(t, `<{{x|default:"`+written+`"}}>{{x|default:"z"}}`, nil), "<"+value.String()+">z")
	}
}

func TestTruncateCountsLetters(t *testing.T) {
	for _, text := range []string{"", "a", "é", "日本語の本", "a😀b😀", "ÄÖÜ"} {
		letters := []rune(text)
		for most, number := range []string{"0", "1", "2", "3", "4", "5", "6"} {
			want := text
			if len(letters) > most {
				want = ""
				if most > 0 {
					want = string(letters[:most-1]) + "…"
				}
			}
			same(t, filled(t, `{{x|truncate:"`+number+`"}}`, values{"x": text}), want)
		}
	}
	template, _ := New(`{{x|truncate:"many"}}`)
	if _, err := template.Render(nil); err == nil {
		t.Error("many is no number")
	}
}

func TestNestedLoopsWithOneName(t *testing.T) {
	given := values{"a": []any{1, 2}, "b": []any{8, 9}, "none": []any{}, "x": 0}
	same(t, filled(t, "{{x}}{{each x in a}}[{{x}}{{each x in b}}{{x}}{{end}}{{x}}]{{end}}{{x}}", given), "0[1891][2892]0")
	same(t, filled(t, "{{each y in a}}{{y}}{{each y in b}}{{y}}{{end}}{{y}} {{end}}-{{y}}-", given), "1891 2892 --")
	same(t, filled(t, "{{each x in none}}{{end}}{{x}}", given), "0")
	same(t, filled(t, "{{each a in a}}{{a}}{{end}}", given), "12")
	delete(given, "x")
	same(t, filled(t, `{{each x in a}}{{end}}{{x|default:"gone"}}`, given), "gone")
}

func TestNilIsAValue(t *testing.T) {
	given := values{"a": []any{1}, "x": nil}
	same(t, filled(t, "{{each x in a}}{{x}}{{end}}{{x}}", given), "1<nil>")
}
