"""Attempts in a real sandbox on a repository whose suite is green, where only the issue's text shows the problem."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assets.executions.judging.gate import judge
from core.work import Execution, VerdictKind

from .conftest import Files, applied

Repair = Callable[..., Execution]

PROGRAM = """
def pages(count, size):
    return count // size


def first(names):
    if names:
        return names[0]
    raise KeyError(names)


def name_of(user):
    return user["name"].strip()
"""
TESTS = """
from shop.core import first, name_of, pages


def test_pages():
    assert pages(10, 5) == 2
    assert pages(0, 5) == 0


def test_first():
    assert first(["a", "b"]) == "a"


def test_name():
    assert name_of({"name": " Ann "}) == "Ann"
"""
MAIN = """
import sys

from shop.core import pages

if __name__ == "__main__":
    print(pages(int(sys.argv[1]), int(sys.argv[2])))
"""
SHOP: Files = {
    "shop/__init__.py": "from shop.core import first, name_of, pages\n",
    "shop/core.py": PROGRAM,
    "shop/__main__.py": MAIN,
    "tests/test_core.py": TESTS,
}
TRACEBACK = """
```
Traceback (most recent call last):
  File "/home/a/run.py", line 3, in <module>
    name_of({"name": None})
  File "/home/a/shop/core.py", line 12, in name_of
    return user["name"].strip()
AttributeError: 'NoneType' object has no attribute 'strip'
```
"""
ISSUES = {
    "sentence": "`pages(11, 5)` returns 2 but should return 3.",
    "snippet": "```python\nfrom shop import pages\n\npages(11, 5)  # should be 3, got 2\n```",
    "table": "With `pages`:\n\n| count | size | expected | actual |\n|---|---|---|---|\n"
    "| 11 | 5 | 3 | 2 |\n| 1 | 5 | 1 | 0 |",
    "command": "```console\n$ python -m shop 11 5\n2\n```\n\nIt should print `3`.",
    "traceback": f"A user without a name is an error.\n{TRACEBACK}",
}


@pytest.mark.parametrize("source", ISSUES)
def test_a_test_is_derived_shipped_and_makes_a_draft(source: str, repair: Repair, tmp_path: Path) -> None:
    done = repair(SHOP, f"The last page is missing\n\n{ISSUES[source]}", seconds=120)
    path = "tests/test_issue_last_page_missing.py"
    assert done.evidence.reproduction == "issue", done.summary
    assert all(test.startswith(f"{path}::") for test in done.evidence.target_tests)
    assert any(f"derived from the issue's text ({source}): {path}" in note for note in done.evidence.notes)
    assert done.patch is not None, done.summary
    verdict = judge(done.evidence, done.patch)
    assert verdict.verdict is VerdictKind.DRAFT, verdict.checks
    assert "derived from the task's text" in verdict.reasons[0]
    root = applied(SHOP, done.patch.diff, tmp_path / "applied")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout
    assert done.changed_lines < 10, "the derived test is not counted"


def test_a_rule_of_the_repository_reaches_the_gate(repair: Repair) -> None:
    files = {**SHOP, "penstock.toml": "derived_tests = 'pass'\n"}
    done = repair(files, f"The last page is missing\n\n{next(iter(ISSUES.values()))}", seconds=120)
    assert done.evidence.derived_suffices
    assert done.patch is not None, done.summary
    assert not any("derived from the task's text" in reason for reason in judge(done.evidence, done.patch).reasons)


def test_unittest_projects_get_a_test_case(repair: Repair) -> None:
    tests = "import unittest\nfrom shop import pages\n\nclass Pages(unittest.TestCase):\n    def test_even(self):\n"
    files = {
        **SHOP,
        "tests/test_core.py": f"{tests}        self.assertEqual(pages(10, 5), 2)\n",
        "tests/__init__.py": "",
    }
    command = "python -m unittest discover -s tests -t ."
    done = repair(files, f"Pages\n\n{ISSUES['sentence']}", test_command=command, seconds=120)
    assert done.patch is not None, done.summary
    assert "+class IssueTest(unittest.TestCase):" in done.patch.diff


def test_a_failing_test_for_another_reason_does_not_hide_the_issue(repair: Repair) -> None:
    other = "def test_colour():\n    assert {'a': 'red'}['a'] == 'blue'\n"
    done = repair({**SHOP, "tests/test_zoo.py": other}, f"Pages\n\n{ISSUES['sentence']}", seconds=120)
    assert done.patch is not None, done.summary
    assert done.evidence.reproduction == "issue"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`pages(11, 5)` returns 7 but should return 3.", "the issue says `7`, and the unchanged commit gives `2`"),
        (
            "`pages(10, 5)` should return 2.",
            "`pages(10, 5)` gives `2` here, as it should: with which input does it not?",
        ),
        (">>> pages(11, 5)\n2\n", "`pages(11, 5)` gives `2`, as the issue shows: what should it give?"),
        ("The last one is not there.", "The issue shows no call of the program"),
        ("`pages(11, 5, unit='a')` should be 3.", "which the issue does not say"),
    ],
)
def test_without_a_reproduction_the_report_says_what_was_seen_and_asks(text: str, said: str, repair: Repair) -> None:
    done = repair(SHOP, f"The last page is missing\n\n{text}")
    assert done.patch is None and done.evidence.reproduction == "none"
    assert done.summary.startswith("Not reproduced: none of the 3 tests fails")
    assert said in " ".join([done.summary, *done.evidence.notes])


def test_hostile_text_runs_in_the_sandbox_only(repair: Repair, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"```python\nfrom shop import pages\nopen({str(mark)!r}, 'w')\npages(11, 5)  # should be 3\n```"
    done = repair(SHOP, f"Pages\n\n{text}")
    assert done.patch is None and not mark.exists()
    assert any("reaches beyond the program" in note for note in done.evidence.notes)


def test_an_example_that_never_ends_is_left_out_within_the_budget(repair: Repair) -> None:
    endless = "```python\nfrom shop import pages\nwhile True:\n    pass\n\npages(11, 5)  # should be 3\n```"
    done = repair(SHOP, f"Pages\n\n{endless}", seconds=60)
    assert done.patch is None and done.seconds < 60
    assert any("did not end in time" in note for note in done.evidence.notes)
