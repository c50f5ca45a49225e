"""Concludes an attempt: stores verdict, publications and outcome in one transaction; `publish_due` then publishes. Or
lets the task wait for an answer, with all of that stored for the case that none comes.

A killed process leaves either no rows or a complete set.
"""

from typing import Any

from core.attempts import Attempt
from core.publications import put_publication
from core.questions import may_ask, wait_for_answer
from core.states import TaskState
from core.work import Execution, Verdict, VerdictKind

DAY = 86_400.0


def conclude(
    attempt: Attempt,
    execution: Execution,
    verdict: Verdict,
    *,
    message: str,
    report: str,
    target: str,
    description: str = "",
    headline: str = "",
    question_days: float = 0.0,
) -> TaskState:
    """Stores the attempt's results under its fencing epoch, and closes it. An attempt at a pull request that ends
    without a patch leaves the task resolved, by the patch that is there. One that ends with a question waits
    `question_days` for an answer instead, if that is more than 0. Raises `core.attempts.LeaseLost`."""
    accepted = is_accepted(execution, verdict)
    state = TaskState.RESOLVED if accepted or attempt.follow_up else TaskState.UNRESOLVED
    patch = execution.patch if accepted else None
    task = attempt.task
    publication = {
        "title": task.title,
        "message": message,
        "report": report,
        "description": description,
        "headline": headline,
        "source": task.source,
    }
    data: dict[str, Any] = {
        "verdict": verdict.verdict,
        "draft_because": list(verdict.reasons),
        "patch": patch.sha256 if patch else None,
        "candidates": execution.evidence.candidates.tried,
        "seconds": round(execution.seconds, 3),
    }
    asks = bool(execution.question) and state == TaskState.UNRESOLVED and question_days > 0
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, execution.patch)
        if asks and may_ask(connection, task):
            ending = {"target": target, "publication": publication, "data": data}
            seconds = question_days * DAY
            return wait_for_answer(connection, attempt.log, task, execution.question, seconds=seconds, ending=ending)
        put_publication(connection, task, target, publication, patch.sha256 if patch else None)
        attempt.close(connection, state, execution.summary[:1000], data)
    return state


def is_accepted(execution: Execution, verdict: Verdict) -> bool:
    """Whether there is a patch to publish."""
    return verdict.verdict is not VerdictKind.FAIL and execution.patch is not None
