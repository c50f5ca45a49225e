package stencil

import (
	"strings"
	"testing"
)

type values = map[string]any

func filled(t *testing.T, source string, given values) string {
	t.Helper()
	template, err := New(source)
	if err != nil {
		t.Fatal(err)
	}
	text, err := template.Render(given)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, not %q", got, want)
	}
}

func TestValues(t *testing.T) {
	given := values{"name": "Ada", "home": values{"city": "London"}, "n": 3}
	same(t, filled(t, "Dear {{ name }} of {{home.city}}, {{n}}{{missing}}.", given), "Dear Ada of London, 3.")
}

func TestFilters(t *testing.T) {
	given := values{"name": "ada lovelace", "text": "a\n\nb"}
	same(t, filled(t, `{{name|title}} {{name|upper}} {{x|default:"nobody"|title}}`, given), "Ada Lovelace ADA LOVELACE Nobody")
	same(t, filled(t, `{{text|indent:"> "}}`, given), "a\n\n> b")
	same(t, filled(t, `{{name|truncate:"5"}}{{name|truncate:"12"}}`, given), "ada …ada lovelace")
}

func TestShortNamesOfSomeCountries(t *testing.T) {
	same(t, filled(t, `{{c|truncate:"8"}}`, values{"c": "Österreich"}), "Österre…")
	same(t, filled(t, `{{c|truncate:"4"}}`, values{"c": "日本"}), "日本")
}

func TestQuotesInStrings(t *testing.T) {
	same(t, filled(t, `{{x|default:"say \"hi\""}}!`, nil), `say "hi"!`)
	same(t, filled(t, `{{x|default:"C:\\"}} {{y|default:"a\nb"}}`, nil), "C:\\ a\nb")
}

func TestLoops(t *testing.T) {
	given := values{"people": []any{values{"name": "Ada"}, values{"name": "Bob"}}, "item": "box"}
	same(t, filled(t, "{{each p in people}}{{p.name}};{{end}}{{p}}", given), "Ada;Bob;")
	same(t, filled(t, "{{each p in nobody}}x{{end}}.", given), ".")
}

func TestLoopVariableWithTheNameOfAValue(t *testing.T) {
	given := values{"list": []any{1, 2}, "item": "box"}
	same(t, filled(t, "{{item}}: {{each item in list}}{{item}} {{end}}in the {{item}}", given), "box: 1 2 in the box")
	same(t, given["item"].(string), "box")
}

func TestErrors(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{{b": "line 2", "{{end}}": "end without each", "{{each x in y}}": "no end", "{{a b}}": "unexpected",
		`{{"a}}`: "not closed", "{{a|}}": "unexpected", "{{}}": "nothing", "{{a+b}}": "unexpected",
	} {
		if _, err := New(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
}
