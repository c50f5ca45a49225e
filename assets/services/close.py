"""Ends the attempt at a service: verdict, publication and outcome in one transaction, or a question to who asked."""

from dataclasses import dataclass
from typing import Any

from assets.services.records import ServiceDraft
from assets.shared.markdown import cell
from core.attempts import Attempt
from core.publications import put_publication
from core.questions import may_ask, wait_for_answer
from core.states import TaskState
from core.work import GateCheck, Verdict, VerdictKind
from objects.catalogue import CodeRow

DAY = 86_400.0
SHOWN_REASONS = 20


@dataclass(frozen=True)
class Outcome:
    """What became of a request. `row` is the version as the gate has left it, if code was submitted; `question` is what
    is needed to go on, if it does not serve; `serving` says which keys it serves."""

    draft: ServiceDraft
    row: CodeRow | None = None
    serving: str = ""
    question: str = ""

    @property
    def done(self) -> bool:
        return self.row is not None and self.row.state == "accepted" and not self.question


def close(attempt: Attempt, outcome: Outcome, target: str, question_days: float) -> TaskState:
    """Raises `core.attempts.LeaseLost`."""
    task, row = attempt.task, outcome.row
    verdict, report = verdict_of(outcome), report_of(task.title, outcome)
    data = {
        "work": "service",
        "verdict": verdict.verdict,
        "type": outcome.draft.name or None,
        "version": row.version if row else None,
        "code": row.sha256 if row else None,
    }
    headline = f"The service {outcome.draft.name}: {outcome.serving}" if outcome.done else outcome.question
    publication = {
        "title": task.title,
        "message": f"Service: {task.title}\n",
        "report": report,
        "description": "",
        "headline": headline[:500],
        "source": task.source,
    }
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, None)
        if not outcome.done and question_days > 0 and may_ask(connection, task):
            ending = {"target": target, "publication": publication, "data": data}
            seconds = question_days * DAY
            return wait_for_answer(connection, attempt.log, task, outcome.question, seconds=seconds, ending=ending)
        put_publication(connection, task, target, publication)
        state = TaskState.RESOLVED if outcome.done else TaskState.UNRESOLVED
        attempt.close(connection, state, headline[:1000], data)
    return state


def verdict_of(outcome: Outcome) -> Verdict:
    """The gate's verdict about exactly this code, as verdicts of tasks are stored."""
    row = outcome.row
    tried: list[dict[str, Any]] = list(((row.verdict or {}).get("evidence") or {}).get("checks", ())) if row else []
    checks = []
    for kind in dict.fromkeys(str(one["kind"]) for one in tried):
        of_kind = [one for one in tried if one["kind"] == kind]
        passed = sum(bool(one["passed"]) for one in of_kind)
        checks.append(GateCheck(name=kind, passed=passed == len(of_kind), detail=f"{passed} of {len(of_kind)} passed"))
    if row is None or not outcome.done:
        return Verdict(verdict=VerdictKind.FAIL, patch_sha256=None, checks=tuple(checks))
    proof = f"Code and manifest with the hash {row.sha256} passed {len(tried)} checks in the sandbox."
    return Verdict(verdict=VerdictKind.PASS, patch_sha256=None, checks=tuple(checks), proof=proof)


def report_of(title: str, outcome: Outcome) -> str:
    """Markdown."""
    row, name = outcome.row, outcome.draft.name
    if not outcome.done or row is None:
        return f"# {title}\n\nThe service was not let out.\n\n{outcome.question}\n"
    methods = "\n".join(
        f"| `{method}` | {'reads' if one.get('reading') else 'changes'} | {cell(str(one.get('description', '')))} |"
        for method, one in row.manifest["methods"].items()
        if not one.get("internal")
    )
    checks = "\n".join(f"| {one.name} | {one.detail} |" for one in verdict_of(outcome).checks)
    return (
        f"# {title}\n\nThe service `{name}`: {outcome.serving}. Its code came from {outcome.draft.origin}.\n\n"
        f"| method | | |\n|---|---|---|\n{methods}\n\n"
        f"Call it: `penstock object call {name}/KEY METHOD '{{…}}'`, or `POST /objects/{name}/KEY/METHOD`. "
        f"Back: `penstock object update {name} --back`.\n\n"
        f"The gate's verdict is about code and manifest with the hash `{row.sha256}`:\n\n"
        f"| check | |\n|---|---|\n{checks}\n"
    )


def refusal(row: CodeRow) -> str:
    """What to ask about code that the gate has refused."""
    reasons = list((row.verdict or {}).get("reasons") or [])[:SHOWN_REASONS]
    listed = "\n".join(f"- {reason}" for reason in reasons)
    return f"The gate refused version {row.version} of {row.type}:\n\n{listed}\n\nAnswer with the blocks, corrected."
