"""Claims that are read from issues, what becomes of them, and the test that is written."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.executions.attempt.derived.choose import Kept, choose
from assets.executions.attempt.derived.claims import MOST_CLAIMS, Claim, Kind, Stated
from assets.executions.attempt.derived.commands import console_scripts
from assets.executions.attempt.derived.derive import evidence_in
from assets.executions.attempt.derived.markdown import MOST_BLOCKS, blocks_of
from assets.executions.attempt.derived.probe import Seen, probe_module
from assets.executions.attempt.derived.project_names import ProjectNames
from assets.executions.attempt.derived.safe_code import parsed, refusal
from assets.executions.attempt.derived.stated import of_comment, roles_in, value_at
from assets.executions.attempt.derived.test_file import place, render
from assets.executions.attempt.derived.tracebacks import traces_in

from .derived_cases import CASES, TRACEBACK, Case, files

NAMES = ProjectNames(files())


def text_of(stated: Stated | None) -> str | None:
    return None if stated is None else stated.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_issue_gives_its_claims(case: Case) -> None:
    found = evidence_in(case.text, NAMES, {}).claims
    assert (
        tuple((c.source, c.command or c.subject, *map(text_of, (c.expected, c.actual, c.shown))) for c in found)
        == case.claims
    )


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Please add a dark mode.", "the issue shows no call of the program"),
        ("T\n\nLook at `f(2)` please.", "not both what it gives and what it should give"),
        (
            f"T\n\n```\n{TRACEBACK.replace('    f(None)', '    main()')}\n```",
            "the traceback ends at pkg/core.py:5",
        ),
    ],
)
def test_what_is_missing_is_named(text: str, asked: str) -> None:
    assert asked in evidence_in(text, NAMES, {}).missing[0]


def test_code_that_reaches_beyond_the_program_is_named() -> None:
    text = "T\n\n```python\nfrom pkg import f\nimport subprocess\nf(2)  # should be 3\n```"
    found = evidence_in(text, NAMES, {})
    assert not found.claims
    assert found.notes == (
        "`f(2)` was not used: it imports `subprocess`, which neither the project nor what it uses has.",
    )


@pytest.mark.parametrize(
    ("command", "scripts", "used"),
    [
        ("tool 3", {"tool": "pkg.core:f"}, True),
        ("tool 3", {}, False),
        ("tool 3", {"tool": "elsewhere:f"}, False),
        ("tool /etc/passwd", {"tool": "pkg.core:f"}, False),
        ("tool ../x", {"tool": "pkg.core:f"}, False),
        ("python -m pkg https://example.org", {}, False),
        ("python -m pkg --out=/tmp/x", {}, False),
        ("python -m pkg 3", {}, True),
    ],
)
def test_only_the_projects_own_commands_are_used(command: str, scripts: dict[str, str], used: bool) -> None:
    text = f"T\n\n```console\n$ {command}\n6\n```\n\nIt should print `3`."
    assert [claim.command for claim in evidence_in(text, NAMES, scripts).claims] == ([command] if used else [])


def test_a_command_may_end_in_an_error() -> None:
    text = f"T\n\n```console\n$ python -m pkg 3\n{TRACEBACK}\n```\n\nIt should print `3`."
    (claim,) = evidence_in(text, NAMES, {}).claims
    assert (text_of(claim.actual), text_of(claim.expected)) == ("TypeError", "3")


@pytest.mark.parametrize(
    "code",
    [
        "open('x')", "__import__('os')", "().__class__.__bases__", "import os", "import socket", "eval('1')",
        "getattr(f, 'x')", "pkg.os.system('id')", "from pkg import os", "from pathlib import Path\nPath('x').unlink()",
        "import pickle\npickle.loads(b'x')", "async def g():\n    pass", "import requests", "from . import x",
        "from .json import x",
        "import urllib.request",
    ],
)  # fmt: skip
def test_such_code_is_refused(code: str) -> None:
    tree = parsed(code)
    assert tree is not None and refusal(tree, NAMES.used) is not None


_PIECES = st.sampled_from(
    [
        "`f(2)`",
        "returns",
        "should be",
        "3",
        "```python\n",
        "```",
        "\n\n",
        ">>> ",
        "f(2)",
        "# ",
        "expected",
        "|",
        "---",
        "Traceback (most recent call last):\n",
        '  File "pkg/core.py", line 5, in f\n',
        "TypeError: x\n",
        "$ python -m pkg",
        "### Expected\n",
        "instead of",
        "KeyError",
        "[1, 2",
        "(",
        "'",
        "\\",
        "\0",
        "In [1]: ",
        "    ",
        "-",
        "é",
        "\ud800",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=400), st.lists(_PIECES, max_size=60).map("".join)))
def test_reading_never_fails_and_is_bounded(text: str) -> None:
    found = evidence_in(text, NAMES, {"pkg": "pkg.core:f"})
    assert len(found.claims) <= MOST_CLAIMS
    for claim in found.claims:
        compile("\n".join([*claim.imports, claim.code, claim.subject]), "x", "exec")
    if found.claims:
        compile(probe_module(found.claims), "x", "exec")
    assert len(blocks_of(text)) <= MOST_BLOCKS
    roles_in(text), value_at(text), of_comment(text), traces_in(text, ("pkg/core.py",))


@pytest.mark.parametrize(
    "text",
    ["`" * 50_000, "(" * 50_000, "expected " * 10_000, "| a " * 20_000, ">>> f(2)\n" * 10_000, "- " * 40_000,
     "the value of " * 5_000, "```python\nf(" + "-" * 3_900 + "1)  # 3\n```", "f(" * 10_000,
     "`f(2)` returns " * 4_000, "Traceback (most recent call last):\n" * 3_000, "* _" * 20_000,
     'T\n\nTraceback (most recent call last):\n' + '  File "pkg/core.py", line 5, in f\n' * 3_000],
)  # fmt: skip
def test_a_hostile_text_takes_little_time(text: str) -> None:
    began = time.process_time()
    evidence_in(text, NAMES, {})
    assert time.process_time() - began < 4


VALUE3, VALUE4 = Stated(Kind.VALUE, "3"), Stated(Kind.VALUE, "4")


def claim(**fields: Any) -> Claim:
    return Claim(**{"source": "snippet", "subject": "f(2)", "imports": ("from pkg import f",), **fields})


def seen(**fields: Any) -> Seen:
    return Seen(**{"reached": True, "saw": "4", **fields})


def test_a_claim_is_kept_when_the_stated_wrong_value_is_seen_each_time() -> None:
    made = claim(expected=VALUE3, actual=VALUE4)
    right = seen(expected=False, actual=True)
    assert [kept.claim for kept in choose([made], [[right] * 3]).kept] == [made]
    other = seen(expected=False, actual=False, saw="5")
    found = choose([made], [[other] * 3])
    assert not found.kept and "the issue says `4`, and the unchanged commit gives `5`" in found.notes[0]
    assert "different results in 3 runs" in choose([made], [[right, right, other]]).notes[0]
    assert "did not end in time" in choose([made], [[right, None, right]]).notes[0]


def test_an_exception_that_the_issue_does_not_state_is_no_reproduction() -> None:
    made = claim(expected=VALUE3)
    missing = seen(expected=False, types=("NameError", "Exception"), inside=True)
    outside = seen(expected=False, types=("TypeError", "Exception"))
    assert not choose([made], [[missing] * 3]).kept and not choose([made], [[outside] * 3]).kept
    assert choose([made], [[seen(expected=False, types=("TypeError",), inside=True)] * 3]).kept


def test_what_holds_already_or_has_no_right_result_is_asked() -> None:
    holds = choose([claim(expected=VALUE3)], [[seen(expected=True, saw="3")] * 3])
    assert not holds.kept and "`f(2)` gives `3` here, as it should: with which input" in holds.missing[0]
    shown = choose([claim(shown=VALUE4)], [[seen(shown=True)] * 3])
    assert not shown.kept and "as the issue shows: what should it give?" in shown.missing[0]
    wrong = choose([claim(actual=VALUE4)], [[seen(actual=True)] * 3])
    assert not wrong.kept and "what should it give?" in wrong.missing[0]


def test_an_output_that_holds_is_kept_beside_one_of_the_same_example_that_does_not() -> None:
    one, two = claim(shown=VALUE3), claim(subject="f(5)", shown=Stated(Kind.VALUE, "10"))
    found = choose([one, two], [[seen(shown=False)] * 3, [seen(shown=True, saw="10")] * 3])
    assert [(kept.claim.subject, kept.fails) for kept in found.kept] == [("f(2)", True), ("f(5)", False)]
    apart = choose(
        [one, claim(subject="f(5)", shown=VALUE3, group=9)], [[seen(shown=False)] * 3, [seen(shown=True)] * 3]
    )
    assert [kept.claim.subject for kept in apart.kept] == ["f(2)"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"expected": VALUE3}, "    assert f(2) == 3"),
        ({"expected": Stated(Kind.VALUE, "None")}, "    assert f(2) is None"),
        ({"expected": Stated(Kind.RAISES, "ValueError")}, "    with pytest.raises(ValueError):\n        f(2)"),
        ({"actual": Stated(Kind.RAISES, "KeyError")}, "    f(2)  # raised KeyError"),
        ({"expected": Stated(Kind.TRUE), "subject": "f(2) < 3"}, "    assert f(2) < 3"),
        ({"expected": Stated(Kind.OUTPUT, "3"), "subject": "print(f(2))"}, "    assert out.getvalue().strip() == '3'"),
        ({"expected": Stated(Kind.SHOWN, "Box(3)")}, "    assert repr(f(2)) == 'Box(3)'"),
    ],
)
def test_a_claim_is_written_as_a_test_of_the_project(fields: dict[str, Any], line: str) -> None:
    made = [Kept(claim(**fields), seen())]
    text = render(made, 'Wrong: "f" \\ of `2`\n"""')
    assert "from pkg import f\n" in text and "\n\n\ndef test_" in text and line in text
    assert text.startswith('"""From the issue: Wrong: f  of 2."""\n')
    compile(text, "x", "exec")
    unit = render(made, "T", unittest=True)
    assert "class IssueTest(unittest.TestCase):" in unit and "(self):" in unit
    compile(unit, "x", "exec")


def test_imports_that_bind_the_same_name_stay_in_their_tests() -> None:
    one = claim(expected=VALUE3, imports=(), code="from a import f")
    two = claim(expected=VALUE3, imports=(), code="from b import f")
    text = render([Kept(one, seen()), Kept(two, seen())], "T")
    assert "    from a import f\n" in text and "    from b import f\n" in text
    compile(text, "x", "exec")


def test_the_file_goes_where_the_tests_are_and_is_named_like_them(tmp_path: Path) -> None:
    assert (
        place(tmp_path, ["tests/unit/test_a.py::x", "tests/test_b.py::x", "tests/unit/test_c.py::y"], "f() is wrong!")
        == "tests/unit/test_issue_f_wrong.py"
    )
    assert place(tmp_path, ["pkg/a_test.py::x"], "../../etc") == "pkg/issue_etc_test.py"
    (tmp_path / "test_issue_example.py").touch()
    assert place(tmp_path, [], "") == "test_issue_example_2.py"


def test_console_scripts_are_read_without_running_anything(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project.scripts]\nrun = "pkg.cli:main"\nbad = "x; y"\n')
    (tmp_path / "setup.cfg").write_text("[options.entry_points]\nconsole_scripts =\n    old = pkg.old:main\n")
    assert console_scripts(tmp_path) == {"run": "pkg.cli:main", "old": "pkg.old:main"}
    (tmp_path / "pyproject.toml").write_text("[[[")
    (tmp_path / "setup.cfg").write_text("x")
    assert console_scripts(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "expected", "actual"),
    [
        ("`f(2)` gives `5`, it used to be `4`.", "4", "5"),
        ("`f(2)` returns 5. Previously it returned 4.", "4", "5"),
        ("It prints 5; until 2.1 it printed 4.", "4", "5"),
        ("It used to return 4 instead of 5.", "4", "5"),
        ("It used to be 4 and is 5, but should be 6.", "6", "5"),
        ("It gives 5.", None, "5"),
        ("It is used to sort 4 items.", None, None),
    ],
)
def test_what_a_call_gave_once_is_right_unless_another_result_is_asked_for(
    text: str, expected: str | None, actual: str | None
) -> None:
    found = roles_in(text)
    assert (found.expected.text if found.expected else None) == expected
    assert (found.actual.text if found.actual else None) == actual
