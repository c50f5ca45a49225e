"""The planner: goal, hypotheses, typed steps, budget and acceptance criteria from a task and its context.

It is deterministic and uses no model: hypotheses come from the ranked locations. This module only makes
revision 1; the execution makes further revisions.
"""

import re

from core.work import Budget, Hypothesis, Location, Plan, PlanStep, StepKind, TaskContext

MAX_HYPOTHESES = 5

_SAYS_NOTHING = frozenset({"size"})
"""Signals that order places well and that convince nobody."""
_DOCUMENTS = (".md", ".rst", ".txt", ".adoc")

ACCEPTANCE = (
    "the failure is reproduced on the unchanged commit",
    "the patch applies to a clean checkout",
    "the failing tests pass with the patch",
    "the whole test suite is no worse than before",
    "nothing outside the allowed paths is changed",
)


def make_plan(title: str, context: TaskContext, budget: Budget, *, engine: str = "search") -> Plan:
    """Revision 1 of the plan for a task. Tests and documents show a fault but seldom contain it, so hypotheses name
    them only when nothing else was found."""
    sources = [one for one in context.locations if not _is_test(one.path) and not one.path.endswith(_DOCUMENTS)]
    suspects = (sources or list(context.locations))[:MAX_HYPOTHESES]
    paths = tuple(dict.fromkeys(place.path for place in suspects))
    return Plan(
        goal=title.strip() or "(no title)",
        hypotheses=tuple(_hypothesis(place) for place in suspects)
        or (Hypothesis(claim="nothing in the index resembles the task"),),
        steps=(
            PlanStep(kind=StepKind.REPRODUCE, goal="Run the whole test suite on the unchanged commit and find the "
                     "failing tests that reproduce this task"),
            PlanStep(kind=StepKind.LOCALISE, goal="Rank statements by how the failing tests cover them and by the "
                     "retrieved context", paths=paths),
            PlanStep(kind=StepKind.EDIT, goal=f"Propose edits with engine {engine!r} and keep those that make the "
                     "failing tests pass", detail=f"at most {budget.candidates} candidates", paths=paths),
            PlanStep(kind=StepKind.VERIFY, goal="Apply the best edit to a clean checkout and run the whole suite in "
                     "a fresh process"),
            PlanStep(kind=StepKind.PUBLISH, goal="Publish a branch with the patch if the gate accepts it, else a "
                     "report of what was tried"),
        ),
        budget=budget,
        acceptance=ACCEPTANCE,
    )  # fmt: skip


def _hypothesis(place: Location) -> Hypothesis:
    told = [reason for reason in place.why if reason.detail and reason.signal not in _SAYS_NOTHING]
    told.sort(key=lambda reason: -reason.contribution)
    where = (
        f"`{place.symbol}` ({place.path}:{place.start_line})" if place.symbol else f"{place.path}:{place.start_line}"
    )
    return Hypothesis(
        claim=f"the fault is in {where}",
        path=place.path,
        start_line=place.start_line,
        end_line=place.end_line,
        symbol=place.symbol,
        why=tuple(reason.detail for reason in told[:3]),
    )


def _is_test(path: str) -> bool:
    parts = path.split("/")
    name = parts[-1]
    return (
        any(part in ("test", "tests", "__tests__", "spec") for part in parts[:-1])
        or name.startswith("test_")
        or name.endswith(("_test.py", "_test.go"))
        or name == "conftest.py"
        or re.search(r"(^|[._-])(test|spec)\.[cm]?[jt]sx?$", name) is not None
    )
