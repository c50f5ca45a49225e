"""What happened in an attempt, through the API."""

import uuid
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from core.attempts import Attempt
from core.database import Database
from core.events import DEFAULT_TEAM
from core.trajectory import Trajectory
from core.work import Cause, Hypothesis, HypothesisState, Plan

PLAN = Plan(goal="g", hypotheses=(Hypothesis(claim="it is in f"),), steps=(), acceptance=())


@pytest.fixture
def task(client: TestClient, authorised: dict[str, str], add_source: Callable[..., None]) -> uuid.UUID:
    add_source()
    answer = client.post("/tasks", json={"source": "hello", "title": "Fix it"}, headers=authorised)
    return uuid.UUID(answer.json()["task"])


def test_steps_and_revisions_come_in_order(
    client: TestClient, authorised: dict[str, str], database: Database, task: uuid.UUID
) -> None:
    attempt = Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="test", seconds=30, max_claims=5)
    attempt.save_plan(PLAN)
    seen = Trajectory(attempt).append("observed", {"suspicious": ["a.py:1 f 1.0"]}, 0.5)
    Trajectory(attempt).append("end", {"patch": None, "summary": "Nothing."}, 0.7)
    refuted = Hypothesis(claim="it is in f", state=HypothesisState.REFUTED, because="no failing test executes it")
    cause = Cause(kind="located", seq=seen, observed="most suspicious: a.py:1")
    attempt.save_plan(
        PLAN.model_copy(update={"revision": 2, "reason": cause.observed, "cause": cause, "hypotheses": (refuted,)})
    )
    answer = client.get(f"/tasks/{task}/timeline", headers=authorised)
    assert answer.status_code == 200
    found = answer.json()
    assert found["attempt"] == 1
    assert found["plan"]["hypotheses"][0]["state"] == "refuted"
    assert [(one["kind"], one["seq"], one["revision"]) for one in found["moments"]] == [
        ("plan", 0, 1), ("observed", 1, None), ("plan", 1, 2), ("end", 2, None),
    ]  # fmt: skip
    assert found["moments"][2]["text"] == "revision 2, because most suspicious: a.py:1"


def test_an_attempt_that_has_not_begun_is_empty(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID
) -> None:
    found = client.get(f"/tasks/{task}/timeline", headers=authorised).json()
    assert (found["plan"], found["moments"]) == (None, [])
    refused = client.get(f"/tasks/{task}/timeline?attempt=7", headers=authorised)
    assert refused.status_code == 404
    assert "the latest is 1" in refused.text


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"/tasks/{uuid.UUID(int=0)}/timeline?attempt=1", 404), ("/tasks/no-id/timeline", 400)],
)
def test_what_is_not_there_is_said(client: TestClient, authorised: dict[str, str], path: str, status: int) -> None:
    assert client.get(path, headers=authorised).status_code == status
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("attempt", ["0", "x", str(2**31)])
def test_a_wrong_attempt_is_refused(
    client: TestClient, authorised: dict[str, str], task: uuid.UUID, attempt: str
) -> None:
    answer = client.get(f"/tasks/{task}/timeline?attempt={attempt}", headers=authorised)
    assert answer.status_code == 400
    assert "attempt" in answer.text
