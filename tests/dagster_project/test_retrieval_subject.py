"""Retrieval as a subject: files that a request is about are found in a release, and failures are told apart."""

from pathlib import Path

import pytest

from assets.evals.harvest import releases
from assets.evals.runs.subject import Attempt, CaseOutcome, InfrastructureFailure, SubjectCannotStart
from assets.evals.sets.eval_set import Case
from assets.evals.sets.plain import PlainCase
from dagster_project.subjects.registry import open_subject


def _attempt(folder: Path, files: list[str]) -> Attempt:
    given = {"package": "shop", "version": "1.0", "query": "the invoice total forgets the discount", "files": files}
    payload = PlainCase(id="shop-1", split="dev", input=given)
    return Attempt(Case("shop-1", "dev", "shop-1.0", {}, payload), 0, 1, 60.0, folder)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop-1.0"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "invoice.py").write_text(
        'def total(lines, discount):\n    """The invoice total."""\n    return 1\n'
    )
    (folder / "shop" / "stock.py").write_text('def count(shelf):\n    """How many are left."""\n    return 2\n')
    (folder / "PKG-INFO").write_text("invoice total discount " * 50)
    (folder / "link.py").symlink_to("/etc/hostname")
    monkeypatch.setattr(releases, "fetch_release", lambda package, version: folder)
    return folder


def test_the_relevant_file_is_ranked_first(release: Path, tmp_path: Path) -> None:
    subject = open_subject("retrieval:model=hashing")
    subject.start()
    right = subject.solve(_attempt(tmp_path, ["shop/invoice.py"]))
    assert (right.success, right.metrics["reciprocal_rank"], right.metrics["recall_at_1"]) == (True, 1.0, 1.0)
    wrong = subject.solve(_attempt(tmp_path, ["shop/gone.py"]))
    assert (wrong.outcome, wrong.success, wrong.metrics["reciprocal_rank"]) == (CaseOutcome.WRONG, False, 0.0)
    assert subject.identity()["embedding_model"] == "hashing"
    assert "PKG-INFO" not in right.summary
    assert "link.py" not in right.summary


def test_a_file_behind_many_places_of_others_is_still_found(release: Path, tmp_path: Path) -> None:
    for number in range(15):
        body = "".join(f"def total_{n}(invoice, discount):\n    return {n}\n\n\n" for n in range(4))
        (release / "shop" / f"invoice_{number}.py").write_text(body)
    found = open_subject("retrieval:model=hashing").solve(_attempt(tmp_path, ["shop/stock.py"]))
    assert 0 < found.metrics["reciprocal_rank"] < 0.2
    assert found.metrics["recall_at_20"] == 1.0
    assert found.metrics["recall_at_10"] == float(found.metrics["reciprocal_rank"] >= 0.1)


def test_a_release_that_cannot_be_downloaded_is_an_infrastructure_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(package: str, version: str) -> Path:
        raise releases.ReleaseUnavailable(f"{package} {version} is not to be had")

    monkeypatch.setattr(releases, "fetch_release", unavailable)
    with pytest.raises(InfrastructureFailure, match=r"shop 1\.0 is not to be had"):
        open_subject("retrieval:model=hashing").solve(_attempt(tmp_path, ["a.py"]))


def test_a_subject_with_a_missing_model_cannot_start() -> None:
    with pytest.raises(SubjectCannotStart, match="embedding model 'no-such-model'"):
        open_subject("retrieval:model=no-such-model").start()
