"""Reading eval sets: malformed, silently changed, duplicate or leaking cases are named; nothing else is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.evals.sets.additions import add_case
from assets.evals.sets.eval_set import content_hash, find_sets, load_set, seal
from assets.evals.sets.set_checks import check_set
from assets.evals.sets.set_files import EvalSetError

SETS = Path(__file__).parents[3] / "eval_sets"
MANIFEST = {
    "name": "toy", "kind": "plain", "title": "Toy", "licence": "Apache-2.0", "origin": "made up", "splits": ["main"],
    "metrics": [{"name": "success", "kind": "rate", "better": "higher", "margin": 0.1, "role": "primary"}],
}  # fmt: skip


def _line(number: int, **changes: object) -> dict[str, Any]:
    cluster = f"project-{number // 2}"
    return {"id": f"case-{number}", "split": "main", "cluster": cluster, "input": {"n": number}, **changes}


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(lines: list[dict[str, Any]] | None = None, **changes: object) -> Path:
        root = tmp_path / "toy"
        root.mkdir(exist_ok=True)
        (root / "set.json").write_text(json.dumps(MANIFEST | changes))
        (root / "version").write_text("1.0.0\n")
        (root / "card.md").write_text("# Toy\n")
        wanted = [_line(number) for number in range(20)] if lines is None else lines
        (root / "cases.jsonl").write_text("".join(json.dumps(line) + "\n" for line in wanted))
        return root

    return write


@pytest.mark.parametrize("name", sorted(find_sets([SETS])))
def test_every_set_of_the_repository_is_sealed_and_sound(name: str) -> None:
    found = load_set(SETS / name)
    assert found.name == name
    assert check_set(found).problems == ()


def test_a_sealed_set_is_read_with_its_clusters_and_splits(make: Make) -> None:
    seal(make())
    found = load_set(make())
    assert (len(found.cases), found.clusters, len(found.split("main"))) == (20, 10, 20)


def test_a_changed_case_without_a_new_version_is_refused(make: Make) -> None:
    root = make()
    seal(root)
    make([_line(number, strata={"new": "yes"}) for number in range(20)])
    with pytest.raises(EvalSetError, match=r"no longer that of version 1\.0\.0"):
        load_set(root)
    with pytest.raises(EvalSetError, match="sealed with another content"):
        seal(root)
    (root / "version").write_text("1.1.0\n")
    with pytest.raises(EvalSetError, match="is not sealed"):
        load_set(root)
    assert seal(root).version == "1.1.0"
    assert load_set(root).version == "1.1.0"


def test_a_changed_margin_is_a_change_of_the_set(make: Make) -> None:
    before = content_hash(make())
    assert content_hash(make(metrics=[MANIFEST["metrics"][0] | {"margin": 0.2}])) != before  # type: ignore[index]


def test_byte_code_and_the_card_do_not_change_the_hash(make: Make) -> None:
    root = make()
    before = content_hash(root)
    (root / "cases" / "__pycache__").mkdir(parents=True)
    (root / "cases" / "__pycache__" / "x.pyc").write_text("x")
    (root / "card.md").write_text("other words")
    assert content_hash(root) == before


@pytest.mark.parametrize(
    ("lines", "changes", "message"),
    [
        ([], {}, "has no cases"),
        ([_line(1), _line(1)], {}, "two cases have the id 'case-1'"),
        ([_line(1, split="other")], {}, "which set.json does not name"),
        ([_line(1, id="../escape")], {}, "cases.jsonl:1: id"),
        ([_line(1), {"id": "x"}], {}, "cases.jsonl:2: split"),
        ([_line(1, colour="red")], {}, "cases.jsonl:1: colour"),
        (None, {"kind": "odd"}, "unknown kind 'odd'"),
        (None, {"metrics": []}, "set.json: metrics"),
        (None, {"licence": ""}, "set.json: licence"),
        (None, {"extra": 1}, "set.json: extra"),
        (None, {"metrics": MANIFEST["metrics"] * 2}, "two metrics have the same name"),  # type: ignore[operator]
    ],
)
def test_a_malformed_set_is_named_with_file_and_field(
    make: Make, lines: list[dict[str, Any]] | None, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(EvalSetError, match=message):
        load_set(make(lines, **changes), sealed=False)


@pytest.mark.parametrize(("name", "content"), [("set.json", b"{"), ("version", b"one"), ("cases.jsonl", b"\xff\n")])
def test_a_damaged_file_is_named(make: Make, name: str, content: bytes) -> None:
    root = make()
    (root / name).write_bytes(content)
    with pytest.raises(EvalSetError, match=name):
        load_set(root, sealed=False)


def test_a_missing_file_is_named(make: Make) -> None:
    root = make()
    (root / "cases.jsonl").unlink()
    with pytest.raises(EvalSetError, match=r"cases\.jsonl: No such file"):
        load_set(root, sealed=False)


def test_a_set_of_one_case_is_read_with_a_remark(make: Make) -> None:
    found = load_set(make([_line(1)]), sealed=False)
    assert check_set(found).problems == ()
    assert "no comparison can be conclusive" in check_set(found).remarks[0]


def test_equal_cases_with_two_ids_are_found(make: Make) -> None:
    found = load_set(make([_line(1), _line(2, input={"n": 1})]), sealed=False)
    assert check_set(found).problems == ("case-1, case-2 are the same case: keep one",)


@pytest.fixture
def repair(tmp_path: Path) -> Path:
    root = tmp_path / "repair"
    shutil.copytree(SETS / "repair", root, ignore=shutil.ignore_patterns("cases"))
    for name in ("waygraph-relax", "lendery-second-renewal"):
        shutil.copytree(SETS / "repair" / "cases" / name, root / "cases" / name)
    return root


def test_leaks_of_a_fix_are_found(repair: Path) -> None:
    case = repair / "cases" / "waygraph-relax"
    (case / "repo" / ".git").mkdir()
    added = "            if weight + total > limit and not visited:"
    with (case / "fix.patch").open("a") as fix:
        fix.write(f"+{added}\n")
    with (case / "issue.md").open("a") as issue:
        issue.write(f"\nPlease write{added}\n")
    hidden = next((case / "heldback").rglob("test*.py")).relative_to(case / "heldback")
    (case / "repo" / hidden).parent.mkdir(parents=True, exist_ok=True)
    (case / "repo" / hidden).write_text("")
    (case / "repo" / "data.txt").symlink_to("/etc/hostname")
    said = "\n".join(check_set(load_set(repair, sealed=False)).problems)
    assert "has a symbolic link" in said
    assert "contains git history" in said
    assert "quotes a line of the fix" in said
    assert "a held-back test is also in the repository" in said


def test_adding_a_case_makes_the_next_minor_version(make: Make, tmp_path: Path) -> None:
    root = make()
    seal(root)
    (tmp_path / "more.jsonl").write_text(json.dumps(_line(99)))
    grown = add_case(root, tmp_path / "more.jsonl")
    assert (grown.version, len(grown.cases)) == ("1.1.0", 21)
    assert load_set(root).sha256 == grown.sha256


def test_a_refused_case_leaves_the_set_unchanged(make: Make, tmp_path: Path) -> None:
    root = make()
    seal(root)
    before = content_hash(root)
    for line in (_line(3), _line(99, split="none"), _line(99, input={"n": 5})):
        (tmp_path / "more.jsonl").write_text(json.dumps(line))
        with pytest.raises(EvalSetError):
            add_case(root, tmp_path / "more.jsonl")
        assert content_hash(root) == before
        assert load_set(root).version == "1.0.0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more.jsonl", "toy"]


def test_a_folder_is_added_to_a_set_of_folders(repair: Path) -> None:
    (repair / "version").write_text("7.1.7\n")
    seal(repair)
    grown = add_case(repair, SETS / "repair" / "cases" / "cachette-own-ttl-zero")
    assert (grown.version, len(grown.cases)) == ("7.2.0", 3)
