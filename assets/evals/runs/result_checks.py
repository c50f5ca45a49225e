"""Checks that a run's results may be used for conclusions.

Every planned case and repeat has one result and no other has one, values are possible, and every input has a version.
A result lost to infrastructure is a row like any other: the comparison decides how many may be lost.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from assets.evals.sets.eval_set import EvalSet
from assets.shared.data_docs import Table

from .early_stop import read_decision
from .results import METRICS, RunRecord
from .store import ResultStore
from .subject import CaseOutcome, identity_digest

CHECKS = {
    "results_are_whole": "Every case and repeat of the plan has one result, and nothing else has one.",
    "results_are_sound": "Outcomes are known, success fits them, and no count or duration is negative or not finite.",
    "versions_are_known": "Set, subject, seed, code and every input of the subject have their version.",
}
"""What each check promises, by its name."""

NAMED = 3
OUTCOMES = tuple(str(outcome) for outcome in CaseOutcome)
SILENT = tuple(str(outcome) for outcome in CaseOutcome if outcome.silent)


class Result(NamedTuple):
    """The facts of one stored result. `learnt` is false if it says nothing about the subject; `least_metric` is its
    smallest metric, where one that is not finite counts as -1."""

    case: str
    repeat: int
    planned: bool
    outcome: str
    learnt: bool
    has_success: bool
    least_metric: float
    tries: int
    ended: str


@dataclass(frozen=True)
class ResultFacts:
    """The tables that were checked, and the problems in them by check."""

    run: str
    tables: dict[str, Table]
    by_check: dict[str, tuple[str, ...]]

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{self.run}: {said}" for check in CHECKS for said in self.by_check[check])


def check_results(store: ResultStore, record: RunRecord, found: EvalSet | None = None) -> ResultFacts:
    """Checks a run's stored results. With `found`, the set in the run's version, the ids of its cases are checked too.

    A run that its own test ended early is whole without the remaining cases.
    """
    columns = ["case", "repeat", "outcome", "success", *METRICS, "tries", "ended"]
    stored = store.load(record).select(columns)
    known = _known(record, found)
    rows = [_row(row, known, record.repeats) for row in stored.iter_rows(named=True)]
    planned, short = record.cases * record.repeats, read_decision(store, record.run) is not None
    keys = Counter((row.case, row.repeat) for row in rows)
    counts = [
        ("results", len(rows) if short else planned, len(rows)),
        ("cases and repeats", len(rows), len(keys)),
        *([("cases of the set", record.cases, len(known))] if known is not None else []),
    ]
    inputs = _inputs(record)
    by_check = {
        "results_are_whole": (*_whole(counts, keys), *_named(rows, "is not in the plan", lambda row: not row.planned)),
        "results_are_sound": _unsound(rows),
        "versions_are_known": tuple(f"{name} has no version" for name, value in inputs if not value),
    }
    tables = {
        "results": Table(Result._fields, rows),
        "counts": Table(("what", "wanted", "found"), counts),
        "inputs": Table(("input", "value"), inputs),
    }
    return ResultFacts(record.run, tables, by_check)


def _known(record: RunRecord, found: EvalSet | None) -> frozenset[str] | None:
    if found is None or found.sha256 != record.set_sha256:
        return None
    return frozenset(case.id for case in found.split(record.split))


def _row(row: dict[str, Any], known: frozenset[str] | None, repeats: int) -> Result:
    values = [row[name] for name in METRICS if row[name] is not None]
    least = min((value if math.isfinite(value) else -1.0 for value in values), default=0.0)
    planned = (known is None or row["case"] in known) and 0 <= row["repeat"] < repeats
    learnt = row["outcome"] not in SILENT
    has = row["success"] is not None
    return Result(
        row["case"], row["repeat"], planned, row["outcome"], learnt, has, least, row["tries"], row["ended"] or ""
    )


def _whole(counts: list[tuple[str, int, int]], keys: Counter[tuple[str, int]]) -> Iterable[str]:
    for what, wanted, seen in counts[:1] + counts[2:]:
        if wanted != seen:
            yield f"{seen} of {wanted} {what}: resume the run under the same name to complete it"
    twice = sorted(f"{case} ({repeat})" for (case, repeat), count in keys.items() if count > 1)
    if twice:
        yield f"more than one result for {_list(twice)}"


def _unsound(rows: Sequence[Result]) -> tuple[str, ...]:
    return (
        *_named(rows, "has an unknown outcome", lambda row: row.outcome not in OUTCOMES),
        *_named(rows, "has a success that does not fit its outcome", lambda row: row.learnt != row.has_success),
        *_named(rows, "has a metric that is negative or not finite", lambda row: row.least_metric < 0),
        *_named(rows, "lacks its end time or its number of tries", lambda row: not row.ended or not row.tries),
    )


def _named(rows: Sequence[Result], problem: str, wrong: Callable[[Result], bool]) -> tuple[str, ...]:
    names = [f"{row.case} ({row.repeat})" for row in rows if wrong(row)]
    return (f"{_list(names)} {problem}",) if names else ()


def _list(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _inputs(record: RunRecord) -> list[tuple[str, str]]:
    digest = record.identity_digest if record.identity_digest == identity_digest(record.identity) else ""
    return [
        ("set version", record.set_version),
        ("set content", record.set_sha256),
        ("split", record.split),
        ("seed", str(record.seed)),
        ("code commit", record.code_commit),
        ("machine", record.machine),
        ("identity of the subject", digest if record.identity else ""),
        *((f"subject: {name}", value) for name, value in record.identity.items()),
    ]
