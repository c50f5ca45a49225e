"""Many candidates of Go in one text: which fit, how they are put together, and whose lines an error is on."""

from assets.executions.trial.go_batch import Part, bodies, compose, failing, parts_of

CODE = """\
package words

import "strings"

var least = 1

// First is the first word.
func First(text string) string {
	words := strings.Fields(text)
	return words[0]
}

func (w *Words) Longest(
	text string,
) (found string) {
	for _, word := range w.words {
		if len(word) > len(found) {
			found = word
		}
	}
	return found
}

func short() int { return 1 }

func Last(text string) string {
	return text
}
"""


def test_bodies_are_found_between_the_lines_of_their_braces() -> None:
    found = [CODE[start:end].strip().split("\n")[0] for start, end in bodies(CODE)]
    assert found == ["words := strings.Fields(text)", "for _, word := range w.words {", "return text"]


def test_what_changes_one_function_fits() -> None:
    candidates = [
        {"a.go": CODE.replace("words[0]", "words[1]")},
        {"a.go": CODE.replace("least = 1", "least = 2")},
        {"a.go": CODE.replace("return 1", "return 2")},
        {"a.go": CODE.replace("words[0]", "words[1]").replace("return text", "return ''")},
        {"a.go": CODE.replace("\treturn found\n", "")},
        {"a.go": None},
        {"b.go": "x"},
        {"a.go": CODE.replace("words := ", "again:\n\twords := ")},
    ]
    found = parts_of({"a.go": CODE}, candidates)
    assert list(found) == [0, 4]
    assert found[0].body == "\twords := strings.Fields(text)\n\treturn words[1]\n"
    assert CODE[: found[4].start] + found[4].body + CODE[found[4].end :] == candidates[4]["a.go"]


def test_each_candidate_is_a_case_before_the_unchanged_body() -> None:
    texts = [CODE.replace("words[0]", f"words[{n}]") for n in (1, 2)] + [CODE.replace("return text", 'return ""')]
    parts = parts_of({"words/a.go": CODE}, [{"words/a.go": text} for text in texts])
    batch = compose({"words/a.go": CODE}, parts)
    made = batch.files["words/a.go"]
    assert made.count("switch penstockCandidate {") == 2
    assert made.index('case "0":') < made.index("words[1]") < made.index('case "1":') < made.index("words[2]")
    assert made.index("words[2]") < made.index("return words[0]") < made.index('case "2":')
    assert batch.files["words/penstock_candidate.go"].startswith("package words\n")
    lines = made.split("\n")
    for number, text in enumerate(("words[1]", "words[2]", 'return ""')):
        _, first, last = batch.lines[number]
        assert text in "\n".join(lines[first - 1 : last])


def test_an_error_is_of_the_candidate_on_whose_lines_it_is() -> None:
    parts = {n: Part("m/words/a.go", *bodies(CODE)[0], f"\treturn {n}\n") for n in range(3)}
    batch = compose({"m/words/a.go": CODE}, parts)
    _, first, _ = batch.lines[1]
    said = f"# x\nwords/a.go:{first + 1}:9: cannot use 1\nother.go:{first + 1}:1: no\nwords/a.go:2:1: no\n"
    assert failing(batch, said, "m") == {1}
    assert failing(batch, said.replace("words/a.go", "./a.go"), "m") == {1}
    again = compose({"m/words/a.go": CODE}, parts, {1})
    assert sorted(again.lines) == [0, 2]
    assert 'case "1"' not in again.files["m/words/a.go"]
