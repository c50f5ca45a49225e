"""Finding fixes between releases: those of one release are isolated from each other, and proposed for completion."""

import json
from pathlib import Path

import pytest

from assets.evals.harvest.released_fix import Piece, changed_lines, files_with, pieces_between, unified
from assets.evals.harvest.released_proposal import propose
from assets.evals.harvest.released_search import find_fixes
from assets.evals.harvest.released_tests import is_released_test
from assets.evals.sets.released import load_released
from assets.evals.sets.repair import apply
from assets.evals.sets.set_files import EvalSetError
from sandbox.protocol import Sandbox
from tests.assets.evals.released_sdists import AFTER, BEFORE, OTHER, WRONG, Registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(tmp_path / "registry", monkeypatch)


def test_two_fixes_of_a_release_are_isolated_and_proposed_for_a_reviewer_to_complete(
    registry: Registry, tmp_path: Path, sandbox: Sandbox
) -> None:
    registry.put("1.0", BEFORE)
    registry.put("1.1", {**AFTER, "tests/test_elsewhere.py": "import parcels.nowhere\n"})
    found = list(find_fixes("parcels", sandbox, cache=tmp_path / "cache"))
    assert [(fix.fails, fix.left_out, fix.pieces) for fix in found] == [
        ((WRONG,), (OTHER,), (Piece("parcels/weights.py", 5, 7),)),
        ((OTHER,), (WRONG,), (Piece("parcels/weights.py", 12, 13),)),
    ]
    assert all(fix.keeps == ("tests/test_weights.py",) and fix.foreign == () for fix in found)
    assert found[0].lines == 2 and found[0].notes == "1.1: the total of no parcels is 0\n"
    folder = propose(found[0], tmp_path / "set/cases")
    assert (tmp_path / "set/cases/parcels-1-1.diff").read_text().startswith("1.1: the total of no parcels is 0")
    with pytest.raises(EvalSetError, match=r"bug_class.*family.*licence"):
        load_released(tmp_path / "set")
    case = json.loads((folder / "case.json").read_text())
    (folder / "case.json").write_text(
        json.dumps({**case, "bug_class": "empty-input", "family": "guard", "licence": "MIT"})
    )
    with pytest.raises(EvalSetError, match="describe what a user saw"):
        load_released(tmp_path / "set")
    (folder / "issue.md").write_text("Nothing to send\n\nIt breaks.\n")
    assert load_released(tmp_path / "set")[0].changed == ("parcels/weights.py",)
    assert propose(found[0], tmp_path / "set/cases").name == "parcels-1-1-2"


def test_a_release_without_a_test_that_failed_before_is_skipped_with_the_reason(
    registry: Registry, tmp_path: Path, sandbox: Sandbox
) -> None:
    registry.put("1.0", BEFORE)
    registry.put("1.1", {**AFTER, "tests/test_weights.py": BEFORE["tests/test_weights.py"]})
    registry.put("1.2", {path: content for path, content in BEFORE.items() if not path.startswith("tests/")})
    said: list[str] = []
    assert list(find_fixes("parcels", sandbox, tell=said.append, cache=tmp_path / "cache")) == []
    assert said == [
        "parcels 1.1 to 1.2: skipped: 0 test files, 3 differences in source",
        "parcels 1.0 to 1.1: skipped: on the earlier sources, 0 tests of the later release fail and 2 pass",
    ]


def test_pieces_and_their_patch_turn_the_earlier_release_into_the_later(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    old = "one\r\ntwo\n\x0cthree\nfour"
    new = "zero\none\r\n2\n\x0cthree\nfour\nfive\n"
    for root, text in ((before, old), (after, new)):
        (root / "p").mkdir(parents=True)
        (root / "p/m.py").write_bytes(text.encode())
    (after / "p/n.py").write_bytes(b"new = '\xff'\n")
    between = pieces_between(before, after)
    made = files_with(between, between, before)
    assert made == {"p/m.py": new.encode(), "p/n.py": b"new = '\xff'\n"}
    assert changed_lines(between, between) == 5
    apply(before, unified(list(between)[:2], between, before))
    assert (before / "p/m.py").read_bytes() == b"zero\none\r\n2\n\x0cthree\nfour"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/test_a.py", True), ("p/tests/data/a.txt", True), ("test_a.py", True), ("a_test.py", True),
        ("conftest.py", True), ("testing/data/x", True), ("p/testing.py", False), ("p/testing/a.py", False),
        ("docs/test_a.py", False), ("p/contest.py", False), ("p/latest.py", False),
    ],
)  # fmt: skip
def test_tests_are_recognised_by_their_paths(path: str, expected: bool) -> None:
    assert is_released_test(path) is expected
