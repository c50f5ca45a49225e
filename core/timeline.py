"""What happened in an attempt, in the order in which it happened, as sentences for people: each action, what was seen,
and each revision of the plan after the observation that caused it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from core.counts import counted
from core.work import Plan

MOST = 2_000
"""Entries of one timeline; the first and the last half of a longer one."""
_TEXT = 160


@dataclass(frozen=True)
class Moment:
    """One line of a timeline. `seq` is the entry's number in the trajectory; a revision of the plan has that of the
    observation that caused it. `details` are further lines."""

    at: datetime
    seq: int
    kind: str
    text: str
    details: tuple[str, ...] = ()
    revision: int | None = None


def read_timeline(connection: Connection[Any], task_id: uuid.UUID, attempt: int) -> list[Moment]:
    """The timeline of one attempt."""
    entries = connection.execute(
        "SELECT at, seq, kind, body FROM trajectory WHERE task_id = %(task)s AND attempt = %(attempt)s "
        "AND (seq <= %(half)s OR seq > (SELECT max(seq) FROM trajectory "
        "WHERE task_id = %(task)s AND attempt = %(attempt)s) - %(half)s) ORDER BY seq",
        {"task": task_id, "attempt": attempt, "half": MOST // 2},
    ).fetchall()
    found = [Moment(at, seq, kind, describe(kind, body)) for at, seq, kind, body in entries]
    for plan, at in read_plans(connection, task_id, attempt):
        before = [seq for written, seq, *_ in entries if written <= at]
        found.append(moment_of(plan, at, max(before, default=0)))
    return sorted(found, key=lambda one: (one.seq, one.revision or 0))


def read_plans(
    connection: Connection[Any], task_id: uuid.UUID, attempt: int, *, after: int = 0
) -> list[tuple[Plan, datetime]]:
    """The revisions of an attempt's plan after that of number `after`, in order."""
    rows = connection.execute(
        "SELECT body, at FROM plan_revisions WHERE task_id = %s AND attempt = %s AND revision > %s ORDER BY revision",
        (task_id, attempt, after),
    ).fetchall()
    return [(Plan.model_validate(body), at) for body, at in rows]


def latest_plan(connection: Connection[Any], task_id: uuid.UUID, attempt: int) -> Plan | None:
    """The latest revision of an attempt's plan."""
    row = connection.execute(
        "SELECT body FROM plan_revisions WHERE task_id = %s AND attempt = %s ORDER BY revision DESC LIMIT 1",
        (task_id, attempt),
    ).fetchone()
    return Plan.model_validate(row[0]) if row else None


def moment_of(plan: Plan, at: datetime, seq: int = 0) -> Moment:
    """A revision of a plan as a moment; one without a cause comes after entry `seq`."""
    details = plan.changes
    if not details:
        details = tuple(
            f"{n}. {h.claim}" + (f": {h.why[0]}" if h.why else "") for n, h in enumerate(plan.hypotheses, 1)
        )
    text = f"revision {plan.revision}, because {plan.reason}" if plan.cause else plan.reason
    return Moment(at, plan.cause.seq if plan.cause else seq, "plan", text, details, plan.revision)


def describe_plan(plan: Plan) -> str:
    """A revision of a plan as one line."""
    if plan.cause is None:
        more = f" and {len(plan.hypotheses) - 1} more" if len(plan.hypotheses) > 1 else ""
        return f"{plan.reason}: {plan.hypotheses[0].claim}{more}" if plan.hypotheses else plan.reason
    return f"revision {plan.revision} ({plan.reason}). {' '.join(plan.changes)}".rstrip()


def describe(kind: str, body: Mapping[str, Any]) -> str:
    """An entry of a trajectory as one sentence."""
    said = _SAID.get(kind)
    try:
        text = said(body) if said is not None else ""
    except (KeyError, TypeError, ValueError, IndexError):
        text = ""  # of another version
    return text or _pairs(body)


def _pairs(body: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in body.items() if value not in (None, "", [], {}))[:400]


def _short(value: Any, most: int = _TEXT) -> str:
    text = " ".join(", ".join(map(str, value)).split() if isinstance(value, list) else str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _first(items: Sequence[Any]) -> str:
    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    return f"{_short(items[0])}{more}" if items else "nothing"


def _reproduce(body: Mapping[str, Any]) -> str:
    if "calls" in body:
        return f"looks at what the issue says of {_first(body['calls'])}"
    if "budget" in body:
        command = " ".join(body["command"])[:_TEXT]
        return f"runs `{command}` on the unchanged commit, to see which tests fail ({body['why']})"
    return _short(body["why"], 300)


def _observed(body: Mapping[str, Any]) -> str:
    if "failing" in body:
        failing = body["failing"]
        return f"{counted(body['tests'], 'test')} in {body['seconds']:.1f} s, failing: {_first(failing)}"
    if "suspicious" in body:
        return f"most suspicious: {_first(body['suspicious'])}"
    if "tried" in body:
        status = ", ".join(f"{count} {name}" for name, count in body["status"].items())
        passing = f"; passes the failing tests: {_first(body['survivors'])}" if body["survivors"] else ""
        return f"{counted(body['tried'], 'edit')} tried ({status}){passing}"
    if "verdict" in body:
        why = f": {_short(body['failed'], 300)}" if body["failed"] else ""
        return f"verdict {body['verdict']}{why}"
    if "calls" in body:
        return f"{counted(body['calls'], 'call')} compared with and without the patch"
    if "passing" in body:
        return f"{counted(body['passing'], 'other edit')} pass the failing tests too"
    if "unrelated" in body:
        return f"tests fail, but none has to do with the task: {_first(body['unrelated'])}"
    if "missing" in body:
        return f"no test can be made from the issue's text: {_first(body['missing'] or body['notes'])}"
    if "coverage" in body:
        found = body["coverage"]
        return (
            f"coverage of {found['failing']} failing and {found['passing']} passing tests"
            if isinstance(found, dict)
            else found
        )
    if "places" in body and "known" in body:
        where = f"the model suspects {_first(list(body['places']))}" if body["places"] else "the model names no place"
        return where if body["known"] else f"{where}, and says that it does not know"
    if "groups" in body:
        return _answers(body)
    if "same as before" in body:
        return f"the model's edit was tried before ({body['same as before']})"
    if "places" in body:
        return f"commit {body['commit'][:12]}; likely places: {_first(body['places'])}"
    if "tool" in body:
        return f"{body['tool']}: {_short(body['result'])}"
    if "said" in body:
        return f"the model: {_short(body['said'])}"
    if "answer" in body:
        return f"the model, without a call: {_short(body['answer'])}"
    return ""


def _answers(body: Mapping[str, Any]) -> str:
    """What several answers of a model to one question had in common."""
    groups = body["groups"]
    patches = "one patch" if len(groups) == 1 else f"{len(groups)} different patches" if groups else "no patch"
    text = f"{patches} in {counted(sum(groups), 'answer')}" if groups else patches
    if body.get("abstained"):
        text += f"; {body['abstained']} said that it does not know"
    if body.get("unusable"):
        text += f"; {counted(len(body['unusable']), 'unusable answer')}: {_first(body['unusable'])}"
    return f"the model gave {text}"


def _remarks(body: Mapping[str, Any]) -> str:
    return "; ".join(f"{one['author']} says: {_short(one['text'])}" for one in body["remarks"])


def _act(body: Mapping[str, Any]) -> str:
    if body.get("repeated"):
        return f"the model repeats {body['tool']}, whose result it has"
    return f"the model calls {body['tool']} {_short(body['arguments'])}"


def _turn(body: Mapping[str, Any]) -> str:
    why = f", because {_short(body['why'])}" if body.get("why") else ""
    return f"goes over to {body['turn']}, after {counted(body['candidates'], 'edit')}{why}"


def _try(body: Mapping[str, Any]) -> str:
    if not body["candidates"]:
        return f"tries edits that waited, first {_short(body['first'])}"
    return f"tries {counted(body['candidates'], 'edit')}, first {_short(body['first'])}"


def _resume(body: Mapping[str, Any]) -> str:
    actions = counted(body["actions"], "action")
    why = f"; then the course was another one: {body['why']}" if body.get("why") else ""
    return f"goes on after an interruption; {actions} whose outcome was kept did not run again{why}"


_SAID: dict[str, Any] = {
    "retrieve": lambda body: f"looks for places in {body['source']}",
    "environment": lambda body: _short(body.get("step") or f"refused: {body['refused']}", 300),
    "begin": lambda body: f"begins with the engine {body['engine']} and a budget of {body['seconds']:.0f} s",
    "reproduce": _reproduce,
    "observed": _observed,
    "cover": lambda body: f"measures what {_first(body['failing'])} and {body['passing']} passing tests execute",
    "localise": lambda body: f"looks for the cause of {_first(body['targets'])} ({_short(body['why'])})",
    "plan": lambda body: f"revision {body['revision']} ({body['reason']}). {' '.join(body['changes'])}",
    "targets": lambda body: f"turns to {_first(body['tests'])}",
    "try": _try,
    "judge": lambda body: f"judges {_short(body['candidate'])}",
    "verify": lambda body: f"verifies the patch ({body['operator'].replace(':', ' ')}) in a clean checkout",
    "measure": lambda body: f"runs the program with and without {counted(body['patches'], 'candidate')}",
    "alternatives": lambda body: f"tries up to {counted(body['candidates'], 'other edit')} on the same tests",
    "rejected": lambda body: f"rejected: {_short(body['candidate'])}",
    "engine": lambda body: f"works with the engine {body['engine']}: {body['why']}",
    "turn": _turn,
    "ask": lambda body: f"asks the model, step {body['step']} ({body['tokens']} tokens used)",
    "act": _act,
    "remarks": _remarks,
    "resume": _resume,
    "end": lambda body: f"ends with{'' if body['patch'] else 'out'} a patch: {_short(body['summary'], 400)}",
}
