"""Operators on syntax trees of JavaScript, TypeScript and Go: which edits they propose, and that these are sound."""

import pytest

from assets.executions.engines.search.native import isolated
from assets.executions.engines.search.native.operators import Hints, Proposal, families, kinds, proposals
from assets.executions.engines.search.native.operators.base import MOST_PROPOSALS
from assets.executions.engines.search.native.program import Program, Unparsed
from assets.executions.engines.search.native.syntaxes import BY_NAME, syntax_of
from core.syntax_trees import parse

CART = """\
import { tax as rate } from './tax.js';

export class Cart {
  constructor(items, limit = 10) {
    this.items = items;
    this.limit = limit;
  }

  total(discount) {
    let sum = 0;
    for (let i = 0; i < this.items.length; i++) {
      const item = this.items[i];
      if (item.price > this.limit && !item.hidden) continue;
      sum += item.price * item.count - discount;
    }
    return sum ? Math.round(sum) : rate(sum);
  }

  async names(load) {
    const list = await load(this.items);
    switch (list.kind) {
      case 'short':
        list.cut = true;
      default:
        list.reverse();
    }
    return list.map((one) => one.name.trim()).filter(Boolean).join(', ');
  }
}

const label = ({ name, ...rest }, [first, second]) => ({ ...rest, ...first, text: `${name}: ${second ?? 'none'}` });

function only(values) {
  values.forEach((value) => { if (!value) { delete values[value]; } });
  return /^a+$/.test(values[0]) || values.length === 0;
}
"""
TYPED = """\
interface Item { price: number; count?: number }

export function total<T extends Item>(items: T[], limit: number = 3, ...more: Item[]): number | null {
  const prices: Array<number> = items.map((item: T): number => item.price * (item.count ?? 1));
  if (prices.length < limit) return null;
  return prices.reduce((a, b) => a + b, 0) as number;
}
"""
VIEW = """\
export const View = ({ items, title }: { items: string[]; title: string }) => {
  const count = items.length;
  return count > 1 ? <ul title={title}>{items.map((item) => <li key={item}>{item}</li>)}</ul> : null;
};
"""
STORE = """\
// Package store holds items.
package store

import (
	"errors"
	"strings"
)

type Item struct {
	Name  string
	Count int
	Next  *Item
}

const limit = 10

// Find gives the item with a name — or none.
func (s *Store) Find(name string, start int) (*Item, error) {
	if name == "" || start < 0 {
		return nil, errors.New("no name")
	}
	key, err := s.key(name)
	for i := start; i < len(s.items); i++ {
		item := s.items[i]
		if strings.HasPrefix(item.Name, key) && item.Count > limit {
			return item, nil
		} else if item.Next != nil {
			s.seen += 1
			continue
		}
	}
	switch start {
	case 1:
		s.last--
	default:
		s.last = start * 2
	}
	return nil, nil
}

func Parts(values []string, size int) [][]string {
	var found [][]string
	for at, value := range values {
		if at%size == 0 {
			found = append(found, values[at:min(at+size, len(values))])
		}
		_ = value
	}
	defer release()
	return found
}
"""
SOURCES = [("javascript", CART), ("typescript", TYPED), ("tsx", VIEW), ("go", STORE)]
HINTS = Hints(frozenset({"price", "Name", "totals"}), ("3", "2.5"), ("short", "nonne"), "null", frozenset({"price"}))


def proposed(language: str, text: str, hints: Hints = HINTS) -> list[Proposal]:
    return proposals(Program(BY_NAME[language], text.encode()), hints)


def applied(text: str, one: Proposal) -> str:
    data = text.encode()
    return (data[: one.start] + one.text.encode() + data[one.end :]).decode()


@pytest.mark.parametrize(("language", "text"), SOURCES)
def test_every_edit_changes_the_source_and_nearly_all_results_parse(language: str, text: str) -> None:
    found = proposed(language, text)
    assert len(found) > 100
    results = [applied(text, one) for one in found]
    assert text not in results
    assert len(set(results)) == len(results)
    broken = []
    for one, result in zip(found, results, strict=True):
        tree = parse(BY_NAME[language].load, result.encode())
        if tree is None or tree.root_node.has_error:
            broken.append((one.operator, one.text, one.line))
    assert len(broken) <= 0.01 * len(found), broken[:10]


@pytest.mark.parametrize(("language", "text"), SOURCES)
def test_the_same_file_gives_the_same_edits_in_the_same_order(language: str, text: str) -> None:
    assert proposed(language, text) == proposed(language, text)
    in_process = isolated.proposed(language, text, HINTS, None, range(1, text.count("\n") + 2))
    assert in_process == proposed(language, text)


@pytest.mark.parametrize("text", ["f(a, a);\n", "x = a - a;\n", "const o = { ...a, ...a };\n", "y = c ? 1 : 1;\n"])
def test_an_edit_that_changes_nothing_is_none(text: str) -> None:
    assert text not in [applied(text, one) for one in proposed("javascript", text)]


def test_weights_are_priors_and_a_deletion_is_less_likely_than_a_comparison() -> None:
    found = [one for language, text in SOURCES for one in proposed(language, text, Hints())]
    assert all(0 < one.weight <= 1.2 for one in found)
    by_name = {one.operator: one.weight for one in sorted(found, key=lambda one: one.weight)}
    assert by_name["statements:statement deleted"] < 0.3 * by_name["conditions:comparison"]


JAVASCRIPT_FAULTS = [
    ("for (let i = 0; i <= list.length; i++) {}", "for (let i = 0; i < list.length; i++) {}"),
    ("function f(a) { if (a > 1) return 2; }", "function f(a) { if (a >= 1) return 2; }"),
    ("function f(a, b) { return a && b; }", "function f(a, b) { return a || b; }"),
    ("function f(a, b) { return a + b; }", "function f(a, b) { return a - b; }"),
    ("function f(a, b) { return b - a; }", "function f(a, b) { return a - b; }"),
    ("function f(a) { return a == null; }", "function f(a) { return a === null; }"),
    ("function f(a, b) { g(b, a); }", "function f(a, b) { g(a, b); }"),
    ("function f(low, high) { return low; }", "function f(low, high) { return high; }"),
    ("async function f(a) { const x = a.load(); }", "async function f(a) { const x = await a.load(); }"),
    ("function f(a) { g(a); }", "function f(a) { return g(a); }"),
    ("const f = (a) => a.b.c;", "const f = (a) => a.b?.c;"),
    ("function f(a) { a.x = 1; }", "function f(a) { a.x = 2; }"),
    ("function f(a) { return a.sort(); }", "function f(a) { return a.sort((a, b) => a - b); }"),
    ("function f(a) { return a.push(1); }", "function f(a) { return a.unshift(1); }"),
    ("function f(a) { return a.replace(/x/, 'y'); }", "function f(a) { return a.replace(/x/g, 'y'); }"),
    ("function f(a) { return a || 5; }", "function f(a) { return a ?? 5; }"),
    ("const o = { ...given, ...defaults };", "const o = { ...defaults, ...given };"),
    ("function f(a) { if (!a) { stop(); } }", "function f(a) { if (a) { stop(); } }"),
    ("const f = (a) => a ? true : false;", "const f = (a) => a ? false : true;"),
    ("function f(a) { s += a; }", "function f(a) { s -= a; }"),
    ("function f(a) { return a.sort(h); }", "function f(a) { return [...a].sort(h); }"),
    ("function f(a, i) { return a[i]; }", "function f(a, i) { return a[i - 1]; }"),
    ("switch (a) { case 1: f(); default: g() }", "switch (a) { case 1: f();\nbreak; default: g() }"),
    ("function f(list) {\n  g(list);\n  return 1;\n}\n", "function f(list) {\n  return 1;\n}\n"),
    ("function f(a) {\n  return g(a);\n}", "function f(a) {\n  if (a == null) return null;\n  return g(a);\n}"),
]  # fmt: skip
GO_FAULTS = [
    ("for i := 0; i <= len(a); i++ {\n}", "for i := 0; i < len(a); i++ {\n}"),
    ("if a > 1 || b {\n}", "if a > 1 && b {\n}"),
    ("x := a - b", "x := a + b"),
    ("x := a[i]", "x := a[i - 1]"),
    ("x := a[:n]", "x := a[:n-1]"),
    ("f(a, b)", "f(b, a)"),
    ("x := strings.HasPrefix(a, b)", "x := strings.HasSuffix(a, b)"),
    ("x := true", "x := false"),
    ("x := 10", "x := 11"),
    ("n += 1", "n -= 1"),
    ("i++", "i--"),
    ("if !ok {\n}", "if ok {\n}"),
    ("if p == nil {\n}", "if p != nil {\n}"),
    ("x, err := load(a)\n\tuse(x)", "x, err := load(a)\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\tuse(x)"),
    ("use(a)", "if a == nil {\n\t\treturn nil, nil\n\t}\n\tuse(a)"),
    ("c, d := 1, 2\n\tuse(c)", "c, d := 1, 2\n\tuse(d)"),
]


@pytest.mark.parametrize(("wrong", "right"), JAVASCRIPT_FAULTS)
def test_faults_of_javascript_are_within_reach(wrong: str, right: str) -> None:
    assert right in [applied(wrong, one) for one in proposed("javascript", wrong, Hints())]


@pytest.mark.parametrize(("wrong", "right"), GO_FAULTS)
def test_faults_of_go_are_within_reach(wrong: str, right: str) -> None:
    around = 'package p\n\nimport "strings"\n\nfunc f(a []int, b int) (*int, error) {\n\t%s\n}\n'
    results = [applied(around % wrong, one) for one in proposed("go", around % wrong, Hints())]
    assert around % right in results


def test_names_of_other_types_and_conditions_that_a_type_has_not_are_not_tried_in_go() -> None:
    text = "package p\n\nfunc f(a []int, b int, c string, d int) int {\n\tuse(b)\n\treturn b\n}\n"
    results = "\n".join(applied(text, one) for one in proposed("go", text, Hints()))
    assert "use(d)" in results
    assert "if b < 0 {" in results
    assert "if len(a) == 0 {" in results
    for wrong in ("use(a)", "use(c)", "b == nil", "len(b)", "c == 0", "a == 0"):
        assert wrong not in results, wrong


def test_what_the_task_names_is_tried_in_place_of_what_is_there() -> None:
    hints = Hints(frozenset({"isOpen"}), ("404",), ("not found",), "", frozenset())
    text = "function f(a) { if (a.isopen) return { code: 400, text: 'not fond' }; }"
    results = [applied(text, one) for one in proposed("javascript", text, hints)]
    for old, new in (("isopen", "isOpen"), ("400", "404"), ("not fond", "not found")):
        assert text.replace(old, new) in results


def test_a_missing_owner_makes_the_optional_access_the_likeliest_edit() -> None:
    text = "function f(user) {\n  return user.address.city;\n}\n"
    hints = Hints(error="null", members=frozenset({"city"}))
    best = max(proposed("javascript", text, hints), key=lambda one: one.weight)
    assert "user.address?.city" in applied(text, best)


def test_modules_that_are_imported_and_what_is_declared_are_left_alone() -> None:
    text = "const path = require('path');\nimport x from 'y';\nfunction join(first, second) { return first; }\n"
    for one in proposed("javascript", text, Hints(strings=("z",))):
        result = applied(text, one)
        assert "require('path')" in result, one
        assert "import x from 'y'" in result, one
        assert "function join(first" in result, one


def test_only_the_chosen_families_and_lines_are_used() -> None:
    program = Program(BY_NAME["javascript"], CART.encode())
    found = proposals(program, Hints(), {"conditions"}, {12})
    assert found
    assert {one.operator.partition(":")[0] for one in found} == {"conditions"}
    assert {one.line for one in found} == {13}
    assert set(families()) == {"calls", "conditions", "guards", "names", "numbers", "statements", "values"}
    assert "binary_expression" in kinds()


def test_positions_are_bytes_also_behind_characters_of_several_bytes() -> None:
    text = "const s = 'äöü—😀'; const f = (a) => a > 1;\n"
    assert text.replace("a > 1", "a >= 1") in [applied(text, one) for one in proposed("javascript", text, Hints())]


def test_a_file_that_does_not_parse_is_left_alone() -> None:
    with pytest.raises(Unparsed, match="broken"):
        Program(BY_NAME["go"], b"package p\n\nfunc f( {\n")
    assert isolated.outline("go", "package p\n\nfunc f( {\n") is None
    assert isolated.proposed("javascript", "function (", Hints(), None, [1]) is None


@pytest.mark.parametrize("text", ["(" * 50_000 + ")" * 50_000, "a" + "[a" * 20_000 + "]" * 20_000, "!" * 100_000 + "a"])
def test_a_hostile_file_ends_nothing_but_its_own_reading(text: str) -> None:
    assert isolated.outline("javascript", text) is None
    assert isolated.outline("javascript", "function f() {}\n") == [("f", 1, 1)]


def test_a_file_with_very_many_places_has_a_bounded_number_of_edits() -> None:
    text = "function f(a, b) {\n" + "  a = b - a * 3;\n" * 5_000 + "}\n"
    assert len(proposed("javascript", text)) == MOST_PROPOSALS


def test_functions_are_listed_with_the_names_they_are_known_by() -> None:
    found = isolated.outline("javascript", CART)
    assert found is not None
    assert ("total", 9, 17) in found
    assert ("label", 31, 31) in found
    assert isolated.outline("go", STORE) == [("Find", 18, 39), ("Parts", 41, 51)]


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b.js", "javascript"), ("a.mts", "typescript"), ("a.tsx", "tsx"), ("x.go", "go"), ("a.py", None), ("go", None)],
)
def test_a_file_s_suffix_says_its_syntax(path: str, name: str | None) -> None:
    syntax = syntax_of(path)
    assert (syntax.name if syntax else None) == name
