"""Ends the attempt of a question: verdict, publication and outcome in one transaction. Publishing comes after it."""

from assets.research.memory import StoredReport
from assets.research.report.markdown import markdown
from core.attempts import Attempt
from core.publications import put_publication
from core.states import TaskState
from core.work import Verdict, VerdictKind


def close(attempt: Attempt, stored: StoredReport, target: str) -> TaskState:
    """Stores what is sent, and closes the task: resolved if the report answers and the gate lets it pass. A report that
    the gate refuses is not sent. Raises `core.attempts.LeaseLost`."""
    report, judged, task = stored.report, stored.verdict, attempt.task
    refused = judged.verdict is VerdictKind.FAIL
    state = TaskState.RESOLVED if report.answered and not refused else TaskState.UNRESOLVED
    verdict = Verdict(
        verdict=judged.verdict,
        patch_sha256=None,
        checks=judged.checks,
        reasons=judged.reasons,
        proof="" if refused else f"Every claim is a quote of a stored passage (report {judged.report_sha256[:12]}).",
    )
    wrong = "; ".join(f"{c.name}: {c.detail}" for c in judged.checks if not c.passed)
    shown = (
        f"# {task.title}\n\nA report was written, but the gate refused it: {wrong}\n"
        if refused
        else markdown(report, judged, stored.passages)
    )
    body = {
        "title": task.title,
        "message": f"Answer: {task.title}\n",
        "report": shown,
        "description": "",
        "headline": wrong or report.answer[:500],
        "source": task.source,
    }
    data = {
        "work": "research",
        "verdict": judged.verdict,
        "draft_because": list(judged.reasons),
        "report": judged.report_sha256,
        "answered": report.answered and not refused,
        "seconds": report.cost.seconds,
    }
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, None)
        put_publication(connection, task, target, body)
        reason = f"the gate refused the report: {wrong}" if refused else report.answer
        attempt.close(connection, state, reason[:1000], data)
    return state
