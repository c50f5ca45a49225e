"""The timeline of an attempt: entries of its trajectory as sentences, and revisions of its plan after their causes."""

from datetime import UTC, datetime

import pytest

from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.timeline import MOST, describe, describe_plan, latest_plan, moment_of, read_timeline
from core.trajectory import Trajectory
from core.work import Cause, Hypothesis, Plan


@pytest.fixture
def attempt(database: Database) -> Attempt:
    log = PostgresLog(database)
    event = tasks.request_event(DEFAULT_TEAM, "github:1", "/github", "shop", title="It fails")
    with database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(connection, log, event=event, source="shop", title="It fails")
    return Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="run-1", seconds=30, max_claims=3)


NOW = datetime(2026, 11, 30, tzinfo=UTC)


def plan(revision: int, seq: int | None = None) -> Plan:
    cause = Cause(kind="located", seq=seq, observed="what was seen") if seq is not None else None
    return Plan(
        revision=revision,
        reason=cause.observed if cause else "first plan",
        cause=cause,
        changes=("Something else comes first.",) if cause else (),
        goal="g",
        hypotheses=(Hypothesis(claim="the fault is in f", why=("it is named",)),),
        steps=(),
        acceptance=(),
    )


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("try", {"candidates": 40, "operators": {}, "first": "a.py:1 x"}, "tries 40 edits, first a.py:1 x"),
        ("try", {"candidates": 1, "operators": {}, "first": "a.py:1 x"}, "tries 1 edit, first a.py:1 x"),
        (
            "observed",
            {"tried": 2, "status": {"fail": 1, "pass": 1}, "survivors": ["s"]},
            "2 edits tried (1 fail, 1 pass); passes the failing tests: s",
        ),
        ("observed", {"tests": 3, "failing": ["a", "b"], "seconds": 1.25}, "3 tests in 1.2 s, failing: a and 1 more"),
        ("observed", {"verdict": "draft", "failed": "weak", "detail": ""}, "verdict draft: weak"),
        (
            "resume",
            {"after": 3, "actions": 2},
            "goes on after an interruption; 2 actions whose outcome was kept did not run again",
        ),
        ("measure", {"patches": 1, "seconds": 2}, "runs the program with and without 1 candidate"),
        ("measure", {"patches": 3, "seconds": 2}, "runs the program with and without 3 candidates"),
        (
            "observed",
            {"places": {"a.py": 2, "b.py": 1}, "unknown": [], "known": False},
            "the model suspects a.py and 1 more, and says that it does not know",
        ),
        ("observed", {"places": {}, "unknown": ["c.py"], "known": True}, "the model names no place"),
        (
            "observed",
            {"groups": [2, 1], "abstained": 1, "unusable": ["no such file"]},
            "the model gave 2 different patches in 3 answers; 1 said that it does not know; 1 unusable answer: "
            "no such file",
        ),
        ("observed", {"groups": [], "abstained": 0, "unusable": []}, "the model gave no patch"),
        ("observed", {"same as before": "fail"}, "the model's edit was tried before (fail)"),
        ("act", {"step": 3, "tool": "search", "repeated": True}, "the model repeats search, whose result it has"),
        ("act", {"step": 3, "tool": "search", "arguments": "{}"}, "the model calls search {}"),
        (
            "turn",
            {"turn": "rest", "why": "its budget is spent", "candidates": 1},
            "goes over to rest, after 1 edit, because its budget is spent",
        ),
        ("try", {"of": "another version"}, "of another version"),
        ("unheard-of", {"a": 1, "b": "", "c": ["x", "y"]}, "a 1, c x, y"),
    ],
)  # fmt: skip
def test_entries_are_sentences(kind: str, body: dict[str, object], expected: str) -> None:
    assert describe(kind, body) == expected


def test_a_hostile_text_is_one_short_line() -> None:
    said = describe("try", {"candidates": 1, "operators": {}, "first": "x\n" * 10_000})
    assert "\n" not in said
    assert len(said) < 300


def test_revisions_stand_after_what_caused_them(attempt: Attempt) -> None:
    trajectory = Trajectory(attempt)
    trajectory.append("retrieve", {"source": "shop", "title": "It fails"}, 0.0)
    attempt.save_plan(plan(1))
    trajectory.append("reproduce", {"command": ["pytest"], "why": "found", "budget": 5}, 0.5)
    seen = trajectory.append("observed", {"suspicious": ["a.py:1 f"]}, 1.5)
    trajectory.append("end", {"patch": None, "summary": "nothing"}, 2.0)
    attempt.save_plan(plan(2, seen))
    with attempt.database.team(attempt.task.team_id) as connection:
        found = read_timeline(connection, *attempt.key)
        latest = latest_plan(connection, *attempt.key)
    assert [one.kind for one in found] == ["retrieve", "plan", "reproduce", "observed", "plan", "end"]
    assert found[4].text == "revision 2, because what was seen"
    assert found[4].details == ("Something else comes first.",)
    assert found[1].details == ("1. the fault is in f: it is named",)
    assert latest is not None
    assert latest.revision == 2


def test_of_a_long_attempt_the_beginning_and_the_end_are_shown(attempt: Attempt) -> None:
    with attempt.fenced() as connection:
        connection.execute(
            "INSERT INTO trajectory (team_id, task_id, attempt, seq, epoch, kind, body) "
            "SELECT %s, %s, %s, n, 1, 'act', '{}' FROM generate_series(1, %s) n",
            (attempt.task.team_id, *attempt.key, 2 * MOST),
        )
        found = read_timeline(connection, *attempt.key)
    assert len(found) == MOST
    assert (found[0].seq, found[-1].seq) == (1, 2 * MOST)


def test_outcomes_of_actions_are_kept(attempt: Attempt) -> None:
    trajectory = Trajectory(attempt)
    first = trajectory.append("try", {"candidates": 1}, 1.0, "digest")
    second = trajectory.append("observed", {"secret": 1}, 1.5)
    trajectory.finish(first, b"\x00outcome", 1.4, second)
    action, seen = trajectory.entries()
    assert (action.digest, action.outcome, action.elapsed, action.ended) == ("digest", b"\x00outcome", 1.4, second)
    assert (seen.kind, seen.digest, seen.outcome, seen.body) == ("observed", None, None, {})


def test_a_plan_is_one_line() -> None:
    assert describe_plan(plan(1)) == "first plan: the fault is in f"
    assert describe_plan(plan(2, 3)) == "revision 2 (what was seen). Something else comes first."


def test_a_plan_is_a_moment() -> None:
    assert moment_of(plan(1), NOW).seq == 0
    assert moment_of(plan(3, 7), NOW).seq == 7
