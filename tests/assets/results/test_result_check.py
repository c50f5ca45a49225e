"""The check beside a task's result warns where a run that ended well has no patch to show."""

import pytest
from dagster import AssetCheckSeverity

from assets.results.assets import _resolved
from core.endings import Ending
from core.states import PublicationState, TaskState
from core.work import Evidence, Execution, Outcome, TestRun, VerdictKind

FAILED = TestRun(
    command=("pytest",),
    exit_code=1,
    seconds=1.0,
    outcomes={"t.py::test_a": Outcome.FAILED},
    failures={"t.py::test_a": "AssertionError: 1 == 2"},
)


def ended(publication: PublicationState | None, state: TaskState = TaskState.RESOLVED) -> Ending:
    return Ending(
        state=state, publication=publication, target="github:acme/shop", location=None, error="the branch is protected",
        has_patch=True, verdict=VerdictKind.PASS,
    )  # fmt: skip


def execution(question: str = "") -> Execution:
    return Execution(
        engine="search", patch=None, evidence=Evidence(sandbox="none", before=FAILED),
        summary="No patch found. 12 candidates were tried.", question=question, seconds=1.0,
    )  # fmt: skip


def test_a_published_patch_is_no_warning() -> None:
    found = _resolved(TaskState.RESOLVED, execution(), ended(PublicationState.PUBLISHED))
    assert found.passed and set(found.metadata) == {"state"}


@pytest.mark.parametrize(
    ("state", "publication", "question", "why"),
    [
        (TaskState.UNRESOLVED, None, "", "No patch found"),
        (TaskState.WAITING, None, "Which call fails?", "Which call fails?"),
        (TaskState.RESOLVED, PublicationState.REFUSED, "", "the branch is protected"),
    ],
)
def test_what_has_no_result_warns_and_says_why(
    state: TaskState, publication: PublicationState | None, question: str, why: str
) -> None:
    found = _resolved(state, execution(question), ended(publication, state) if publication else None)
    assert (found.passed, found.severity) == (False, AssetCheckSeverity.WARN)
    assert why in str(found.metadata["why"].value)
    assert found.description and len(found.description) <= 300
    assert "t.py::test_a" in str(found.metadata["first_failure"].value)
