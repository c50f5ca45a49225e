"""Patches for failures that may come from what the machine lacks, and hides behind a handler, are doubted."""

from dataclasses import replace

import pytest

from assets.executions.judging.lacking import lacking_doubt
from assets.executions.trial.baseline import Baseline
from core.work import Doubt, Outcome, TestRun

SOURCE = """import locale

def amount(number):
    try:
        {asked}
    except {caught}:
        fallback()
    return shown(number)

def other(number):
    return number
"""
TARGET, PASSING = "test_m.py::test_amount", "test_m.py::test_other"


def doubt(
    asked: str = 'locale.setlocale(locale.LC_ALL, "de_DE")',
    caught: str = "locale.Error",
    executed: int = 7,
    passing: tuple[int, ...] = (),
    edit: tuple[str, str] = ("shown(number)", "str(number)"),
) -> Doubt | None:
    """The doubt when the target executes line `executed` of SOURCE, and the passing test the lines `passing`."""
    text = SOURCE.format(asked=asked, caught=caught)
    lines = tuple(("m.py", line) for line in range(1, 12))
    outcomes = {TARGET: Outcome.FAILED, PASSING: Outcome.PASSED}
    hits = {TARGET: (3, 4, executed - 1), PASSING: tuple(line - 1 for line in passing)}
    run = TestRun(command=(), outcomes=outcomes, seconds=1.0, exit_code=1)
    baseline = Baseline(run, (TARGET, PASSING), {}, {}, lines, hits, frozenset(), frozenset(), frozenset())
    assert edit[0] in text
    return lacking_doubt({"m.py": text}, {"m.py": text.replace(*edit)}, baseline, (TARGET,))


@pytest.mark.parametrize(
    ("asked", "caught"),
    [
        ('locale.setlocale(locale.LC_ALL, "de_DE")', "locale.Error"),
        ('locale.setlocale(locale.LC_ALL, "de_DE")', "Exception"),
        ("import yaml", "ImportError"),
        ("import yaml", "(ValueError, ModuleNotFoundError)"),
        ('zone = ZoneInfo("Europe/Berlin")', "KeyError"),
        ("socket.getaddrinfo(host, 80)", "OSError"),
        ("answer = ask(host)", "socket.gaierror"),
        ('subprocess.run(["git"])', "FileNotFoundError"),
    ],
)
def test_a_handler_that_the_target_executes_in_a_changed_function_is_doubted(asked: str, caught: str) -> None:
    found = doubt(asked, caught)
    assert found is not None and found.severity == "draft"
    assert f"`{caught}` in m.py:6" in found.detail


@pytest.mark.parametrize(
    ("asked", "caught"),
    [
        ("answer = table[host]", "KeyError"),
        ("answer = parse(host)", "ValueError"),
        ("answer = opened(host)", "OSError"),
        ("answer = host.read()", "yaml.Error"),
        ("import yaml", "StopIteration"),
    ],
)
def test_other_handlers_are_not(asked: str, caught: str) -> None:
    assert doubt(asked, caught) is None


def test_a_handler_that_is_not_executed_is_not_doubted() -> None:
    assert doubt(executed=8) is None


def test_a_handler_elsewhere_is_doubted_unless_a_passing_test_executes_it() -> None:
    elsewhere = ("    return number\n", "    return -number\n")
    assert doubt(edit=elsewhere) is not None
    assert doubt(edit=elsewhere, passing=(7,)) is None
    assert doubt(passing=(7,)) is not None


def test_files_that_do_not_parse_or_are_new_raise_no_doubt() -> None:
    run = TestRun(command=(), outcomes={TARGET: Outcome.FAILED}, seconds=1.0, exit_code=1)
    empty = Baseline(run, (TARGET,), {}, {}, (("m.py", 1),), {TARGET: (0,)}, frozenset(), frozenset(), frozenset())
    for before, after in (("def f(:\n", "def f():\n"), (None, "x = 1\n"), ("x = 1\n", None)):
        assert lacking_doubt({"m.py": before}, {"m.py": after}, empty, (TARGET,)) is None
    assert lacking_doubt({"m.py": "x = 1\n"}, {"m.py": "x = 2\n"}, replace(empty, hits={}), (TARGET,)) is None
