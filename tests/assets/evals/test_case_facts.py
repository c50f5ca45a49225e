"""Misleading cases are found: the fix under another name, an answer in the issue, the same case reworded."""

import shutil
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.evals.sets.eval_set import load_set
from assets.evals.sets.near_duplicates import FEWEST, NEAR, near_duplicates, shingles, similarity
from assets.evals.sets.repair import apply, load_case
from assets.evals.sets.set_checks import CHECKS, check_set
from assets.evals.sets.set_suites import set_docs
from assets.executions.engines.open_engine import EngineChoice
from dagster_project.subjects.repair import solve_case

SETS = Path(__file__).parents[3] / "eval_sets"
CASE, OTHER = "lendery-second-renewal", "waygraph-relax"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repair"
    shutil.copytree(SETS / "repair", root, ignore=shutil.ignore_patterns("cases"))
    for name in (CASE, OTHER):
        shutil.copytree(SETS / "repair" / "cases" / name, root / "cases" / name)
    (root / "version").write_text("9.0.0\n")
    return root


def _fixed(case: Path) -> Path:
    """The file that the fix changes."""
    name = next(line[6:] for line in (case / "fix.patch").read_text().splitlines() if line.startswith("+++ b/"))
    return case / "repo" / name


def _keep_the_fixed_file(case: Path) -> None:
    changed = _fixed(case)
    before = changed.read_bytes()
    apply(case / "repo", (case / "fix.patch").read_text())
    changed.with_suffix(".py.orig").write_bytes(changed.read_bytes())
    changed.write_bytes(before)


def _keep_a_held_back_test(case: Path) -> None:
    test = next((case / "heldback").rglob("test*.py"))
    shutil.copy(test, case / "repo" / "notes.txt")


def _hide_a_bare_repository(case: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(case / "repo" / "vendor")], check=True)


def _hide_a_bundle(case: Path) -> None:
    (case / "repo" / "data.bin").write_bytes(b"# v2 git bundle\n")


def _name_a_hidden_test(case: Path) -> None:
    text = next((case / "heldback").rglob("test*.py"))
    text.write_text(text.read_text() + "\n\ndef test_nobody_would_guess_this():\n    assert True\n")
    with (case / "issue.md").open("a") as issue:
        issue.write("\nSee test_nobody_would_guess_this.\n")


def _quote_the_fix_in_other_spaces(case: Path) -> None:
    added = [
        line[1:] for line in (case / "fix.patch").read_text().splitlines() if line[:1] == "+" and line[:3] != "+++"
    ]
    with (case / "issue.md").open("a") as issue:
        issue.write("\n" + max(added, key=len).replace(" ", "   ") + "\n")


def _break_the_fix(case: Path) -> None:
    _fixed(case).write_text("pass\n")


def _drop_the_description(case: Path) -> None:
    (case / "issue.md").write_text("# It fails\n")


def _drop_the_tests(case: Path) -> None:
    for path in (case / "heldback").rglob("test*.py"):
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "check", "said"),
    [
        (_keep_the_fixed_file, "no_fix_in_the_history", "has the content of the fixed file"),
        (
            _keep_a_held_back_test,
            "no_fix_in_the_history",
            "notes.txt has the content of the fixed file or of a held-back",
        ),
        (_hide_a_bare_repository, "no_fix_in_the_history", "contains git history (vendor/HEAD)"),
        (_hide_a_bundle, "no_fix_in_the_history", "contains git history (data.bin)"),
        (_name_a_hidden_test, "no_answer_in_the_query", "names the held-back test test_nobody_would_guess_this"),
        (_quote_the_fix_in_other_spaces, "no_answer_in_the_query", "quotes a line of the fix"),
        (_break_the_fix, "nothing_is_missing", "lacks a fix.patch that applies to repo/"),
        (_drop_the_description, "nothing_is_missing", "lacks a description in issue.md"),
        (_drop_the_tests, "nothing_is_missing", "lacks a held-back test"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_case_that_reveals_its_fix_is_found(root: Path, harm: Callable[[Path], None], check: str, said: str) -> None:
    assert check_set(load_set(root, sealed=False)).problems == ()
    harm(root / "cases" / CASE)
    found = check_set(load_set(root, sealed=False)).by_check
    assert [one for one in found[check] if said in one and one.startswith(f"{CASE}: ")], found


def test_a_near_duplicate_in_another_cluster_or_split_is_found(root: Path) -> None:
    twin = root / "cases" / "reworded"
    shutil.copytree(root / "cases" / CASE, twin)
    fields = (twin / "case.json").read_text().replace(f'"id": "{CASE}"', '"id": "reworded"')
    (twin / "case.json").write_text(fields)
    issue = (twin / "issue.md").read_text()
    (twin / "issue.md").write_text(issue + "\nThanks!\n")
    assert check_set(load_set(root, sealed=False)).problems == (), "near duplicates within one cluster are allowed"
    (twin / "case.json").write_text(fields.replace('"cluster": "lendery"', '"cluster": "elsewhere"'))
    looked = check_set(load_set(root, sealed=False))
    assert f"reworded: nearly the same text as {CASE} in another split or cluster; keep one of them" in looked.problems


def test_suites_and_checks_find_the_same_problems(root: Path, tmp_path: Path) -> None:
    _keep_the_fixed_file(root / "cases" / CASE)
    _name_a_hidden_test(root / "cases" / CASE)
    _drop_the_description(root / "cases" / OTHER)
    (root / "card.md").unlink()
    found = load_set(root, sealed=False)
    looked = check_set(found)
    docs = set_docs(found, looked, tmp_path)
    wrong = {name for name, problems in looked.by_check.items() if problems}
    assert wrong == set(CHECKS) - {"cases_are_distinct"}
    assert {result.name for result in docs.results if not result.passed} == wrong
    pages = b"".join(path.read_bytes() for path in docs.index.parent.rglob("*.html"))
    assert b'src="http' not in pages
    assert b'<link rel="stylesheet" href="http' not in pages


def test_a_solvers_repository_has_one_commit_and_nothing_of_the_fix(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = load_case(root / "cases" / CASE)
    work = tmp_path / "work"
    shutil.copytree(case.repo, work)

    class HandedOverError(Exception):
        pass

    def stop(*_: object, **__: object) -> None:
        raise HandedOverError

    monkeypatch.setattr("assets.context.store.memory.MemoryIndex.build", stop)
    with pytest.raises(HandedOverError):
        solve_case(case, work, EngineChoice("search"), None, None)  # type: ignore[arg-type]

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(work), *arguments], check=True, capture_output=True, text=True).stdout

    assert git("rev-list", "--all", "--count").strip() == "1"
    objects = set(git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split())
    apply(work, case.fix)
    fixed = git("hash-object", str(work / _fixed(root / "cases" / CASE).relative_to(case.repo))).strip()
    assert fixed not in objects
    for test in case.heldback.rglob("test*.py"):
        assert git("hash-object", str(test)).strip() not in objects


TEXTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.lists(st.sampled_from(["one", "two", "three", "four", "five"]), max_size=40).map(" ".join),
    max_size=8,
)


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_exactly_the_near_duplicates_are_found(texts: dict[str, str]) -> None:
    sets = {name: found for name, text in texts.items() if len(found := shingles(text)) >= FEWEST}
    alike = {frozenset(pair) for pair in combinations(sets, 2) if similarity(sets[pair[0]], sets[pair[1]]) >= NEAR}
    told = {frozenset((name, other)) for name, others in near_duplicates(texts).items() for other in others}
    assert told == alike


def test_thousands_of_texts_are_compared_quickly() -> None:
    texts = {f"case-{n}": " ".join(f"word{(n * k) % 997}" for k in range(1, 60)) for n in range(3_000)}
    texts["again"] = texts["case-7"] + " please"
    assert near_duplicates(texts)["again"][0] == "case-7"


@pytest.mark.parametrize(
    ("name", "said", "what"),
    [
        ("relayq-nobody-idle", "TestIdleComesAndGoes", "names the held-back test TestIdleComesAndGoes"),
        ("hubbub-orders", "it takes every other letter as it is", "names the held-back test takes every other letter"),
        ("marklet-tables", "cells", ""),
    ],
)
def test_answers_in_the_query_are_found_in_every_language(tmp_path: Path, name: str, said: str, what: str) -> None:
    root = tmp_path / "repair"
    shutil.copytree(SETS / "repair", root, ignore=shutil.ignore_patterns("cases"))
    shutil.copytree(SETS / "repair" / "cases" / name, root / "cases" / name)
    (root / "version").write_text("9.0.0\n")
    assert check_set(load_set(root, sealed=False)).problems == ()
    issue = root / "cases" / name / "issue.md"
    issue.write_text(f"{issue.read_text()}\nSee {said}.\n")
    problems = check_set(load_set(root, sealed=False)).problems
    assert (what in problems[0]) if what else problems == ()


def test_a_held_back_test_of_another_language_that_is_shown_is_found(tmp_path: Path) -> None:
    root, name = tmp_path / "repair", "relayq-nobody-idle"
    shutil.copytree(SETS / "repair", root, ignore=shutil.ignore_patterns("cases"))
    shutil.copytree(SETS / "repair" / "cases" / name, root / "cases" / name)
    (root / "version").write_text("9.0.0\n")
    case = root / "cases" / name
    shutil.copy(case / "heldback" / "report" / "heldback_test.go", case / "repo" / "report" / "heldback_test.go")
    assert any("report/heldback_test.go" in one for one in check_set(load_set(root, sealed=False)).problems)
