"""What the page of a task shows, read in one transaction of its team: the issue, the plan with its revisions, what was
done, the patch, the tests before and after, the gate's reasons, the cost, and where the result was published."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.rows import dict_row
from pydantic import BaseModel, ValidationError

from core import tasks
from core.endings import Ending, read_ending
from core.questions import Answer, Question, find_question, list_answers
from core.states import TaskState
from core.timeline import Moment, read_plans, read_timeline
from core.work import Execution, Plan, TaskContext, TestRun, Verdict
from gateway.web.diff import FileDiff, parse_diff

MOST_TESTS = 50
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class TestChange:
    """A test that the task is about, or whose outcome the patch has changed; `-` where it did not run."""

    name: str
    before: str
    after: str
    target: bool


@dataclass(frozen=True)
class Story:
    """Of one attempt. What that attempt has not reached yet, or what another version has written, is None or empty."""

    task: tasks.Task
    ending: Ending | None
    attempt: int
    context: TaskContext | None
    plans: tuple[tuple[Plan, datetime], ...]
    moments: tuple[Moment, ...]
    execution: Execution | None
    verdict: Verdict | None
    files: tuple[FileDiff, ...]
    patch: str | None
    tests: tuple[TestChange, ...]
    stages: tuple[tuple[str, float], ...]
    publications: tuple[Mapping[str, Any], ...]
    question: Question | None
    answers: tuple[Answer, ...]

    @property
    def is_latest(self) -> bool:
        return self.attempt == self.task.attempt

    @property
    def held(self) -> bool:
        """Whether a patch or report waits for approval."""
        return self.is_latest and any(one["state"] == "held" for one in self.publications)

    @property
    def is_published(self) -> bool:
        return any(one["state"] == "published" for one in self.publications)

    @property
    def may_cancel(self) -> bool:
        return not self.task.closed

    @property
    def may_retry(self) -> bool:
        return self.task.state in (TaskState.UNRESOLVED, TaskState.FAILED, TaskState.CANCELLED, TaskState.WAITING)

    @property
    def seconds(self) -> float:
        return sum(length for _, length in self.stages)


def read_story(connection: Connection[Any], task_id: uuid.UUID, attempt: int | None = None) -> Story:
    """The story of an attempt, of the latest one by default. Raises `TaskNotFound`, also for an unknown attempt."""
    task = tasks.get_task(connection, task_id)
    chosen = attempt if attempt is not None else task.attempt
    if not 1 <= chosen <= task.attempt:
        raise tasks.TaskNotFound(f"task {task_id} has no attempt {chosen}: the latest is {task.attempt}")
    key = (task_id, chosen)
    with connection.cursor(row_factory=dict_row) as cursor:
        stages = cursor.execute(
            "SELECT stage, seconds, body FROM stage_outputs WHERE (task_id, attempt) = (%s, %s) ORDER BY at", key
        ).fetchall()
        verdict = cursor.execute(
            "SELECT v.body, p.diff FROM verdicts v LEFT JOIN patches p ON p.sha256 = v.patch_sha256 "
            "WHERE (v.task_id, v.attempt) = (%s, %s)",
            key,
        ).fetchone()
        publications = cursor.execute(
            "SELECT target, state, location, last_error, updated_at FROM publications "
            "WHERE (task_id, attempt) = (%s, %s) ORDER BY target",
            key,
        ).fetchall()
    outputs = {row["stage"]: row["body"] for row in stages}
    execution = _parsed(Execution, outputs.get("execution"))
    diff = verdict["diff"] if verdict else None
    if diff is None and execution is not None and execution.patch is not None:
        diff = execution.patch.diff
    return Story(
        task=task,
        ending=read_ending(connection, task_id) if chosen == task.attempt else None,
        attempt=chosen,
        context=_parsed(TaskContext, outputs.get("context")),
        plans=tuple(read_plans(connection, task_id, chosen)),
        moments=tuple(read_timeline(connection, task_id, chosen)),
        execution=execution,
        verdict=_parsed(Verdict, verdict["body"] if verdict else None),
        files=parse_diff(diff) if diff else (),
        patch=diff,
        tests=_changes(execution) if execution else (),
        stages=tuple((row["stage"], float(row["seconds"])) for row in stages),
        publications=tuple(publications),
        question=find_question(connection, task) if chosen == task.attempt else None,
        answers=tuple(list_answers(connection, task_id)),
    )


def _parsed(model: type[Model], body: Any) -> Model | None:
    """A record of this version; None for none, and for one that another version has written."""
    try:
        return model.model_validate(body) if body is not None else None
    except ValidationError:
        return None


def _changes(execution: Execution) -> tuple[TestChange, ...]:
    evidence = execution.evidence
    old = evidence.before.outcomes if evidence.before else {}
    new = evidence.after.outcomes if evidence.after else {}
    targets = [test for test in evidence.target_tests if test in old or test in new]
    others = sorted(test for test in old if evidence.after and test not in targets and new.get(test) != old[test])
    found = [TestChange(test, old.get(test, "-"), new.get(test, "-"), True) for test in targets]
    found += [TestChange(test, old[test], new.get(test, "-"), False) for test in others]
    return tuple(found[:MOST_TESTS])


def tally(run: TestRun | None) -> list[tuple[str, int]]:
    """How many tests ended how, for example `[("passed", 104), ("failed", 3)]`."""
    if run is None:
        return []
    outcomes = [str(outcome) for outcome in run.outcomes.values()]
    order = ("passed", "failed", "error", "skipped", "unknown")
    return [(name, outcomes.count(name)) for name in order if name in outcomes]
