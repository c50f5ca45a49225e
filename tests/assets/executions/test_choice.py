"""Choosing among survivors: what a maintainer would write comes before what only makes the tests pass."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.executions.engines.protocol import Candidate, FileChange, Problem
from assets.executions.engines.search.choice import naturalness
from assets.executions.engines.search.source import Edit, SourceFile
from assets.executions.judging.edits.idioms import Idioms, tokens
from assets.executions.trial.targets import TargetSet
from core.work import TaskContext

PROGRAM = """
import os
import re
from os.path import isfile, join

VERSION = "2"
PATTERN = re.compile(r"<(.*)>")


class Markdown:
    def render(self, text):
        return text


def split_after(items, pred, maxsplit=-1):
    buf = []
    for item in items:
        buf.append(item)
        if pred(item) and buf:
            yield buf
            buf = []
            maxsplit -= 1
    if maxsplit and buf:
        yield buf


def largest(items, count):
    chosen = sorted(items)
    if count < 0:
        return []
    return chosen[:count]


def find(folder, name):
    path = join(folder, name)
    if isfile(name):
        return path
    return None


def show(text, plain):
    if plain:
        return text
    rendered = Markdown().render(text)
    return rendered


def has_backend(name):
    found = name in ("a", "b")
    return found


def last_index(items, wanted):
    i = len(items)
    while i > 0:
        if items[i] == wanted:
            return i
        i = i - 1
    return -1


def describe(match):
    data = {"name": match.name}
    data["pattern"] = match.name
    return data
"""


def _problem(issue: str = "It is wrong") -> Problem:
    return Problem(
        issue=issue,
        targets=TargetSet(("t.py::test",), ""),
        baseline=cast(Any, None),
        context=TaskContext(source="s", commit="0" * 40, index_version="1", models=(), locations=()),
        sources={"m.py": SourceFile("m.py", PROGRAM.encode())},
        test_sources={"t.py::test": "def test():\n    assert largest([1, 2], 1) == [2]\n"},
        should_stop=lambda: False,
        root=Path(),
        until=0.0,
        record=lambda kind, body: None,
        refusal=lambda path: None,
    )


def _edit(old: str, new: str) -> Edit:
    assert PROGRAM.count(old) == 1, old
    at = PROGRAM.index(old)
    return Edit("m.py", at, at + len(old), new)


def _candidate(*edits: Edit, parents: tuple[Candidate, ...] = ()) -> Candidate:
    return Candidate(edits, "operator", 0.3, 0.3, "m.py", 1, parents)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (("pred(item) and", "pred(str(item)) and"), ("if maxsplit and buf:", "if buf or maxsplit:")),
        (
            ("pred(item) and", "pred(str(item)) and"),
            ("maxsplit -= 1\n    if", "maxsplit -= 1\n            continue\n    if"),
        ),
        (("sorted(items)", "reversed(sorted(items))"), ("sorted(items)", "sorted(items, reverse=True)")),
        (("isfile(name)", "isfile(os.name)"), ("isfile(name)", "isfile(path)")),
        (("rendered = Markdown().render(text)", "rendered = Markdown()"), ("if plain:", "if not plain:")),
        (("return chosen[:count]", "return chosen[:count][0]"), ("count < 0", "count <= 0")),
        (('data["pattern"] = match.name', 'data["pattern"] = Markdown'), ("data = {", "data = {**match, ")),
        (("        i = i - 1", "        i = 2"), ("i = len(items)", "i = len(items) - 1")),
        (("    return found", "    return split_after"), ('in ("a", "b")', 'not in ("a", "b")')),
        (("    found = name", "    return True\n    found = name"), ('in ("a", "b")', 'not in ("a", "b")')),
    ],
)
def test_a_contrived_edit_comes_after_the_right_one(wrong: tuple[str, str], right: tuple[str, str]) -> None:
    problem = _problem()
    assert naturalness(_candidate(_edit(*wrong)), problem) < naturalness(_candidate(_edit(*right)), problem)


def test_an_edit_along_with_the_fix_comes_after_the_fix_alone() -> None:
    fix, version = _edit('r"<(.*)>"', 'r"<(.*?)>"'), _edit('VERSION = "2"', 'VERSION = "3"')
    alone = _candidate(fix)
    both = _candidate(fix, version, parents=(alone, _candidate(version)))
    problem = _problem("The pattern is greedy")
    assert naturalness(both, problem) < naturalness(alone, problem)


def test_the_value_does_not_depend_on_what_was_ranked_before() -> None:
    one, other = _candidate(_edit("count < 0", "count <= 0")), _candidate(_edit("isfile(name)", "isfile(path)"))
    problem = _problem()
    first = naturalness(one, problem), naturalness(other, problem)
    again = _problem()
    assert (naturalness(other, again), naturalness(one, again)) == (first[1], first[0])


def test_a_move_to_another_indentation_removes_nothing() -> None:
    move = _candidate(_edit("            maxsplit -= 1", "        maxsplit -= 1"))
    delete = _candidate(_edit("            maxsplit -= 1\n", ""))
    problem = _problem()
    assert naturalness(delete, problem) < naturalness(move, problem)


def test_changes_of_whole_files_are_ranked_too() -> None:
    after = PROGRAM.replace("isfile(name)", "isfile(path)")
    whole = Candidate((), "model", 0.3, 0.3, "m.py", 1, (), (FileChange("m.py", PROGRAM, after),))
    edit = _candidate(_edit("isfile(name)", "isfile(path)"))
    problem = _problem()
    assert naturalness(whole, problem) == pytest.approx(naturalness(edit, problem))


def test_code_that_the_project_has_elsewhere_is_less_surprising() -> None:
    idioms = Idioms(["if value is None:\n    return default\n" * 20 + "total = value + 1\n"])
    usual = idioms.surprise_of_change("x = 1\n", "if value is None:\n")
    assert usual < 0.5 * idioms.surprise_of_change("x = 1\n", "if default is value:\n")


def test_only_new_tokens_and_the_two_after_them_count() -> None:
    idioms = Idioms([PROGRAM])
    assert idioms.surprise_of_change("a = b\n", "a = b\n") == 0.0
    long = "f(one, two, three, four)"
    added = idioms.surprise_of_change(f"x = [{long}]\n", f"x = {{{long}}}\n")
    assert added < 0.7 * idioms.surprise_of_change("\n", f"x = {{{long}}}\n")


@given(st.text(), st.text())
def test_any_text_has_finite_surprise(before: str, after: str) -> None:
    assert 0.0 <= Idioms([before]).surprise_of_change(before, after) < float("inf")
    assert all(tokens(after))
