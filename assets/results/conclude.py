"""Concludes an attempt: stores verdict, publications and outcome in one transaction; `publish_due` then publishes.

A killed process leaves either no rows or a complete set.
"""

from psycopg.types.json import Jsonb

from core.attempts import Attempt
from core.states import TaskState
from core.work import Execution, Verdict, VerdictKind


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
) -> TaskState:
    """Stores the attempt's results under its fencing epoch, and closes it. An attempt at a pull request that ends
    without a patch leaves the task resolved, by the patch that is there. Raises `core.attempts.LeaseLost`."""
    accepted = is_accepted(execution, verdict)
    state = TaskState.RESOLVED if accepted or attempt.follow_up else TaskState.UNRESOLVED
    patch = execution.patch if accepted else None
    task = attempt.task
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, execution.patch)
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                task.team_id,
                *attempt.key,
                target,
                patch.sha256 if patch else None,
                Jsonb(
                    {
                        "title": task.title,
                        "message": message,
                        "report": report,
                        "description": description,
                        "headline": headline,
                        "source": task.source,
                    }
                ),
            ),
        )
        attempt.close(
            connection,
            state,
            execution.summary[:1000],
            {
                "verdict": verdict.verdict,
                "patch": patch.sha256 if patch else None,
                "candidates": execution.evidence.candidates.tried,
                "seconds": round(execution.seconds, 3),
            },
        )
    return state


def is_accepted(execution: Execution, verdict: Verdict) -> bool:
    """Whether there is a patch to publish."""
    return verdict.verdict is not VerdictKind.FAIL and execution.patch is not None
