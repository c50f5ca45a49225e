"""Released fixes with the later tests laid over: what the solver gets, and how an even later one judges."""

from pathlib import Path

import pytest

from assets.evals.harvest import releases
from assets.evals.sets.released import Release, ReleasedCase, load_released
from assets.evals.sets.released_laid_over import find_later, open_laid_over, open_later, same_code
from assets.evals.sets.repair import RepairCase, checkout
from assets.evals.sets.suite_runs import run_tests
from core.git.command import GitError
from sandbox.protocol import Sandbox
from tests.assets.evals.released_sdists import AFTER, WRONG, Registry, case_of, write_case

LATER = {
    **AFTER,
    "tests/test_weights.py": AFTER["tests/test_weights.py"]
    + "\n\ndef test_no_parcel_of_a_generator_weighs_nothing():\n    assert total(p for p in ()) == 0\n\n\n"
    "def test_a_name_that_comes_later():\n    from parcels.weights import lightest\n",
}
NEW = "tests/test_weights.py::test_no_parcel_of_a_generator_weighs_nothing"
SPECIAL = """\
--- a/parcels/weights.py
+++ b/parcels/weights.py
@@ -4,4 +4,6 @@
 def total(parcels):
     \"\"\"The weight of all, 0 without any.\"\"\"
+    if parcels == []:
+        return 0
     weight = parcels[0]
     for parcel in parcels[1:]:
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(releases, "CACHE", tmp_path / "cache")
    return Registry(tmp_path / "registry", monkeypatch)


@pytest.fixture
def case(registry: Registry, tmp_path: Path) -> ReleasedCase:
    write_case(tmp_path / "toy", case_of(registry))
    return load_released(tmp_path / "toy")[0]


def test_the_solver_gets_the_earlier_sources_with_the_tests_that_fail(case: ReleasedCase, sandbox: Sandbox) -> None:
    with open_laid_over(case) as opened:
        assert "max(parcels)" in (opened.repo / "parcels/weights.py").read_text()
        assert WRONG.rpartition("::")[2] in (opened.repo / "tests/test_weights.py").read_text()
        assert not passes(opened, None, sandbox)
        assert passes(opened, opened.fix, sandbox)


def passes(opened: RepairCase, patch: str | None, sandbox: Sandbox) -> bool:
    with checkout(opened, patch) as root:
        return run_tests(root, opened.fields.test, sandbox).passed


def test_an_even_later_release_notices_a_patch_that_pleases_only_the_shown_tests(
    case: ReleasedCase, registry: Registry, sandbox: Sandbox
) -> None:
    release = Release(version="1.2", sha256=registry.put("1.2", LATER))
    with open_laid_over(case) as opened, open_later(case, opened, release, sandbox) as later:
        assert passes(opened, SPECIAL, sandbox)
        special, fixed = later.judge(SPECIAL), later.judge(opened.fix)
        assert special.applies and special.broken == (NEW,)
        assert special.tests.telling == {NEW} and WRONG in special.tests.passing
        assert fixed.applies and fixed.broken == ()
        assert not later.judge(SPECIAL.replace("weight = parcels[0]", "heavy = parcels[0]")).applies


def test_the_release_with_more_passing_tests_is_found_and_none_where_there_is_none(
    case: ReleasedCase, registry: Registry, sandbox: Sandbox
) -> None:
    assert find_later(case, sandbox) is None
    hash_of_later = registry.put("1.2", LATER)
    registry.put("1.3", {path: text for path, text in LATER.items() if not path.startswith("tests/")})
    assert find_later(case, sandbox) == Release(version="1.2", sha256=hash_of_later)


def test_the_same_program_is_recognised_whatever_its_comments(case: ReleasedCase) -> None:
    with open_laid_over(case) as opened:
        assert same_code(opened, opened.fix)
        assert same_code(opened, opened.fix.replace("+    weight = 0\n", "+    weight = 0  # of none\n"))
        assert not same_code(opened, opened.fix.replace("+    weight = 0\n", "+    weight = 1\n"))
        assert not same_code(opened, SPECIAL)
        with pytest.raises(GitError):
            same_code(opened, SPECIAL.replace("weight = parcels[0]", "heavy = parcels[0]"))
