"""Markdown tables and code fences for the stages' metadata and the report.

Text from tasks, repositories and test output is hostile: fences and code spans are longer than any run of backticks
in it, and characters that could end a cell or start a tag, a link or an image are escaped.
"""

import re
from collections.abc import Sequence

from core.timeline import Moment
from core.work import Execution, Outcome, Plan, TaskContext, TestRun, Verdict


def fenced(text: str, language: str = "") -> str:
    """`text` in a code fence that is longer than any run of backticks inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def cell(text: str) -> str:
    """`text` as plain text on one line, safe in a cell of a Markdown table."""
    return _one_line(text).replace("](", "]\\(").replace("<", "&lt;")


def code(text: str) -> str:
    """`text` as a code span on one line, safe in a cell of a Markdown table. An empty text gives an empty string."""
    if not (shown := _one_line(text)):
        return ""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def _one_line(text: str) -> str:
    # Backslashes before a pipe are doubled, or they would cancel the one that escapes the pipe.
    return re.sub(r"(\\*)\|", r"\1\1\\|", " ".join(text.split()))


def plan_table(plan: Plan) -> str:
    rows = [
        f"| {n} | {step.kind} | {cell(step.goal)} | {step.state} | {cell(step.outcome or step.detail)} |"
        for n, step in enumerate(plan.steps, 1)
    ]
    return "\n".join(["| | step | goal | state | detail |", "|---|---|---|---|---|", *rows])


def hypotheses_table(plan: Plan) -> str:
    rows = [
        f"| {n} | {cell(one.claim)} | {one.state} | {cell(one.because or '; '.join(one.why))} |"
        for n, one in enumerate(plan.hypotheses, 1)
    ]
    return "\n".join(["| | hypothesis | state | why |", "|---|---|---|---|", *rows])


def timeline_table(moments: Sequence[Moment]) -> str:
    """What happened in an attempt; the text of a revision of the plan with what it changed."""
    rows = [
        f"| {one.at:%H:%M:%S} | {cell(one.kind)} | {cell(' '.join([one.text, *(f'— {d}' for d in one.details)]))} |"
        for one in moments
    ]
    return "\n".join(["| time | what | |", "|---|---|---|", *rows])


def locations_table(context: TaskContext, limit: int = 10) -> str:
    rows = []
    for n, place in enumerate(context.locations[:limit], 1):
        why = "; ".join(
            f"{reason.signal} {reason.contribution:.3f}" + (f" ({reason.detail})" if reason.detail else "")
            for reason in sorted(place.why, key=lambda reason: -reason.contribution)[:4]
        )
        rows.append(
            f"| {n} | {code(f'{place.path}:{place.start_line}-{place.end_line}')} | {code(place.symbol)} "
            f"| {place.score:.3f} | {cell(why)} |"
        )
    return "\n".join(["| | place | symbol | score | why |", "|---|---|---|---|---|", *rows])


def tests_summary(run: TestRun | None) -> str:
    if run is None:
        return "not run"
    tally = {outcome: sum(1 for o in run.outcomes.values() if o is outcome) for outcome in Outcome}
    shown = ", ".join(f"{count} {outcome}" for outcome, count in tally.items() if count) or "no test"
    ended = f"; ended by the {run.limit} limit" if run.limit else ""
    return f"{shown} in {run.seconds:.2f} s{ended}"


def tests_table(execution: Execution) -> str:
    """The target tests and every test whose outcome changed, before and after."""
    before, after = execution.evidence.before, execution.evidence.after
    old = before.outcomes if before else {}
    new = after.outcomes if after else {}
    shown = [t for t in execution.evidence.target_tests if t in old or t in new]
    shown += sorted(t for t in old if after and t not in shown and new.get(t) != old[t])
    rows = [f"| {code(test)} | {old.get(test, '-')} | {new.get(test, '-')} |" for test in shown[:50]]
    if not rows:
        return "No test covers the task."
    return "\n".join(["| test | before | after |", "|---|---|---|", *rows])


def verdict_text(verdict: Verdict) -> str:
    """The verdict with what was proven, and every reason why it is only a draft."""
    parts = [f"Verdict: **{verdict.verdict}**. {cell(verdict.proof)}".rstrip()]
    if verdict.reasons:
        parts.append("It is a draft because:\n" + "\n".join(f"- {cell(reason)}" for reason in verdict.reasons))
    return "\n\n".join(parts)


def checks_table(verdict: Verdict) -> str:
    rows = [f"| {c.name} | {'yes' if c.passed else '**no**'} | {cell(c.detail)} |" for c in verdict.checks]
    return "\n".join(["| check | passed | detail |", "|---|---|---|", *rows])
