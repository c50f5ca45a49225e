"""Released fixes: cases over two source releases are opened, checked and judged in the sandbox, or refused by name."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from assets.evals.harvest import releases
from assets.evals.harvest.releases import ReleaseUnavailable
from assets.evals.runs.subject import Attempt, InfrastructureFailure
from assets.evals.sets.eval_set import load_set, seal
from assets.evals.sets.localisation import load_localisation
from assets.evals.sets.released import ReleasedCase, check_released, load_released, open_released, released_schema
from assets.evals.sets.repair import judge_patch
from assets.evals.sets.set_checks import check_set
from assets.evals.sets.set_files import EvalSetError
from dagster_project.subjects.repair import RepairSubject
from sandbox.protocol import Sandbox
from tests.assets.evals.released_sdists import AFTER, BEFORE, OTHER, WRONG, Registry, case_of, write_case

REAL = Path(__file__).parents[3] / "eval_sets" / "released-fixes"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(releases, "CACHE", tmp_path / "cache")
    return Registry(tmp_path / "registry", monkeypatch)


def load_one(root: Path, case: dict[str, Any], **more: str) -> ReleasedCase:
    write_case(root, case, **more)
    return load_released(root)[-1]


def test_a_case_opens_as_the_earlier_release_without_history_and_with_later_tests_held_back(
    registry: Registry, tmp_path: Path
) -> None:
    case = load_one(tmp_path / "toy", case_of(registry))
    with open_released(case) as opened:
        held = sorted(path.relative_to(opened.repo).as_posix() for path in opened.repo.rglob("*") if path.is_file())
        assert held == sorted(BEFORE)
        assert (opened.repo / "parcels/weights.py").read_text() == BEFORE["parcels/weights.py"]
        assert "test_no_parcel" not in (opened.repo / "tests/test_weights.py").read_text()
        assert "test_no_parcel" in (opened.heldback / "tests/test_weights.py").read_text()
        assert opened.fix.count("\n+") == 3 and "default=None" not in opened.fix
        scratch = opened.folder
    assert not scratch.exists()


def test_a_sound_case_fails_before_its_fix_and_is_judged_correct_with_it(
    registry: Registry, tmp_path: Path, sandbox: Sandbox
) -> None:
    case = load_one(tmp_path / "toy", case_of(registry))
    assert check_released(case, sandbox) == []
    with open_released(case) as opened:
        wrong = opened.fix.replace("+    weight = 0\n", "+    weight = -1 + 1 * (not parcels)\n")
        judged = judge_patch(opened, wrong, sandbox)
    assert judged.applies and not judged.correct


def test_a_case_that_contradicts_its_tests_or_quotes_its_fix_is_not_sound(
    registry: Registry, tmp_path: Path, sandbox: Sandbox
) -> None:
    case = case_of(registry, fails=[OTHER], left_out=[])
    opened = load_one(tmp_path / "toy", case, issue="Total\n\nWrite `for parcel in list(parcels):` there.\n")
    assert check_released(opened, sandbox) == [
        f"the tests that fail before the fix are not those of `fails`: {WRONG}",
        f"these tests do not pass with the fix: {OTHER}",
        "the fix is not judged correct",
        "the issue quotes a line of the fix; write it in a user's words",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fix": [{"path": "parcels/weights.py", "start": 4, "end": 7}]}, "do not differ in lines"),
        ({"keeps": ["tests/test_weights.py", "tests/test_gone.py"]}, r"parcels 1\.1 has no tests/test_gone\.py"),
    ],
)
def test_releases_without_the_content_that_the_case_names_are_refused(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    case = load_one(tmp_path / "toy", case_of(registry, **changes))
    with pytest.raises(EvalSetError, match=said), open_released(case):
        pass


def test_a_release_without_tests_is_refused(registry: Registry, tmp_path: Path) -> None:
    case = case_of(registry)
    without = {path: content for path, content in AFTER.items() if not path.startswith("tests/")}
    case["after"]["sha256"] = registry.put("1.1", without)
    with pytest.raises(EvalSetError, match=r"has no tests/test_weights\.py"), open_released(load_one(tmp_path, case)):
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"package": "../parcels"}, "package"),
        ({"before": {"version": "1.0; x", "sha256": "0" * 64}}, "version"),
        ({"after": {"version": "1.1", "sha256": "abc"}}, "sha256"),
        ({"fix": [{"path": "../weights.py", "start": 0, "end": 1}]}, "not a path inside a release"),
        ({"fix": [{"path": "/etc/passwd", "start": 0, "end": 1}]}, "not a path inside a release"),
        ({"fails": ["-p evil.py::x"]}, "fails"),
        ({"fails": ["tests/test_other.py::test_x"]}, "would not be run"),
        ({"left_out": ["tests/test_weights.py::test_no"]}, "would be left out together"),
        ({"licence": ""}, "licence"),
        ({"code": "print()"}, "code"),
    ],
)
def test_a_malformed_case_is_refused_with_its_field(
    registry: Registry, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(EvalSetError, match=said):
        load_one(tmp_path / "toy", case_of(registry, **changes))


def test_a_case_holds_no_code(registry: Registry, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "toy", case_of(registry))
    (folder / "fix.patch").write_text("--- a/x\n")
    with pytest.raises(EvalSetError, match=r"fix\.patch: a case of released fixes holds only case\.json and issue\.md"):
        load_released(tmp_path / "toy")


def test_a_package_must_be_in_one_split(registry: Registry, tmp_path: Path) -> None:
    case = case_of(registry)
    write_case(tmp_path / "toy", case)
    write_case(tmp_path / "toy", {**case, "id": "parcels-other", "split": "check"})
    with pytest.raises(EvalSetError, match="both splits"):
        load_released(tmp_path / "toy")


def test_a_release_that_cannot_be_fetched_is_an_infrastructure_failure_that_names_it(
    registry: Registry, tmp_path: Path
) -> None:
    root = tmp_path / "toy"
    write_case(root, case_of(registry))
    case = seal(root).cases[0]
    registry.folder.rename(tmp_path / "away")
    with pytest.raises(InfrastructureFailure, match=r"parcels 1\.0 could not be fetched"):
        RepairSubject().solve(Attempt(case, 0, 1, 60.0, tmp_path / "attempt"))


def test_cached_releases_need_no_registry(registry: Registry, tmp_path: Path) -> None:
    case = load_one(tmp_path / "toy", case_of(registry))
    with open_released(case):
        shutil.rmtree(registry.folder)
    with open_released(case) as opened:
        assert (opened.repo / "parcels/weights.py").is_file()


def test_the_set_has_at_least_twenty_sound_cases_and_its_schema_and_card_are_complete() -> None:
    found = load_set(REAL)
    assert check_set(found).problems == ()
    assert len(found.cases) >= 20 and found.clusters >= 8
    assert (REAL / "schema.json").read_text() == released_schema()
    packages = {case.cluster.lower() for case in found.cases}
    assert packages.isdisjoint({case.package.lower() for case in load_localisation()})
    card = (REAL / "card.md").read_text()
    assert [name for name in sorted(packages) if name not in card.lower()] == []


def test_no_issue_of_the_set_names_a_test_or_a_file_that_its_changelog_does_not() -> None:
    for case in load_released(REAL):
        said = case.issue + case.fields.changelog
        names = {test.rpartition("::")[2].partition("[")[0] for test in case.fields.fails}
        files = {path.rpartition("/")[2] for path in case.changed if path.rpartition("/")[2] != "__init__.py"}
        assert [name for name in sorted(names) if name in said] == [], case.id
        assert [name for name in sorted(files) if name in case.issue and name not in case.fields.changelog] == [], (
            case.id
        )


@pytest.mark.services
@pytest.mark.timeout(600)
def test_a_real_case_is_fetched_from_the_package_registry_and_sound(tmp_path: Path, sandbox: Sandbox) -> None:
    case = load_released(REAL)[0]
    try:
        problems = check_released(case, sandbox, tmp_path / "cache")
    except ReleaseUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"needs a package registry that pip can reach: {error}")
    assert problems == []
