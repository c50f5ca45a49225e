"""What must hold of a run's results before anybody draws a conclusion from them.

Every case and repeat of the plan once and no other, values that can be, and a version for every input. A
result lost to infrastructure is a row like any other: how many may be lost is the comparison's to say.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from assets.evals.sets.eval_set import EvalSet
from assets.shared.data_docs import Table

from .early_stop import read_decision
from .results import METRICS, RunRecord
from .store import ResultStore
from .subject import CaseOutcome, identity_digest

CHECKS = {
    "results_are_whole": "Every case and repeat of the plan has one result, and nothing else has one.",
    "results_are_sound": "Outcomes are known, success fits them, and no count or duration is negative or no number.",
    "versions_are_known": "Set, subject, seed, code and every input of the subject have their version.",
}
"""The names of the checks, with what they promise."""

NAMED = 3
OUTCOMES = tuple(str(outcome) for outcome in CaseOutcome)
_COLUMNS = ("case", "repeat", "planned", "outcome", "learnt", "has_success", "least_metric", "tries", "ended")


@dataclass(frozen=True)
class ResultFacts:
    """The tables that were looked at, and what is wrong in them, by check."""

    run: str
    tables: dict[str, Table]
    by_check: dict[str, tuple[str, ...]]

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{self.run}: {said}" for check in CHECKS for said in self.by_check[check])


def check_results(store: ResultStore, record: RunRecord, found: EvalSet | None = None) -> ResultFacts:
    """Looks at a run's stored results. `found` is the set if it is still that version, to know its cases by name.

    A run that was ended early by its own test is whole without the cases that were left out.
    """
    columns = ["case", "repeat", "outcome", "success", *METRICS, "tries", "ended"]
    stored = store.load(record).select(columns)
    known = _known(record, found)
    rows = [_row(row, known, record.repeats) for row in stored.iter_rows(named=True)]
    planned, short = record.cases * record.repeats, read_decision(store, record.run) is not None
    keys = Counter((row[0], row[1]) for row in rows)
    counts = [
        ("results", len(rows) if short else planned, len(rows)),
        ("cases and repeats", len(rows), len(keys)),
        *([("cases of the set", record.cases, len(known))] if known is not None else []),
    ]
    inputs = _inputs(record)
    by_check = {
        "results_are_whole": (*_whole(counts, keys), *_named(rows, "is not in the plan", lambda row: not row[2])),
        "results_are_sound": _unsound(rows),
        "versions_are_known": tuple(f"{name} has no version" for name, value in inputs if not value),
    }
    tables = {
        "results": Table(_COLUMNS, rows),
        "counts": Table(("what", "wanted", "found"), counts),
        "inputs": Table(("input", "value"), inputs),
    }
    return ResultFacts(record.run, tables, by_check)


def _known(record: RunRecord, found: EvalSet | None) -> frozenset[str] | None:
    if found is None or found.sha256 != record.set_sha256:
        return None
    return frozenset(case.id for case in found.split(record.split))


def _row(row: dict[str, Any], known: frozenset[str] | None, repeats: int) -> tuple[object, ...]:
    values = [row[name] for name in METRICS if row[name] is not None]
    least = min((value if math.isfinite(value) else -1.0 for value in values), default=0.0)
    planned = (known is None or row["case"] in known) and 0 <= row["repeat"] < repeats
    learnt = row["outcome"] != CaseOutcome.INFRASTRUCTURE
    has = row["success"] is not None
    return row["case"], row["repeat"], planned, row["outcome"], learnt, has, least, row["tries"], row["ended"] or ""


def _whole(counts: list[tuple[str, int, int]], keys: Counter[tuple[object, object]]) -> Iterable[str]:
    for what, wanted, seen in counts[:1] + counts[2:]:
        if wanted != seen:
            yield f"{seen} of {wanted} {what}: run it to its end under the same name"
    twice = sorted(f"{case} ({repeat})" for (case, repeat), count in keys.items() if count > 1)
    if twice:
        yield f"{_list(twice)} there more than once"


def _unsound(rows: Sequence[tuple[object, ...]]) -> tuple[str, ...]:
    return (
        *_named(rows, "has an outcome that is none", lambda row: row[3] not in OUTCOMES),
        *_named(rows, "has a success that its outcome does not allow", lambda row: row[4] != row[5]),
        *_named(rows, "has a metric that is negative or no number", lambda row: float(str(row[6])) < 0),
        *_named(rows, "says not when it ended or how often it was tried", lambda row: not row[8] or not row[7]),
    )


def _named(
    rows: Sequence[tuple[object, ...]], said: str, wrong: Callable[[tuple[object, ...]], bool]
) -> tuple[str, ...]:
    names = [f"{row[0]} ({row[1]})" for row in rows if wrong(row)]
    return (f"{_list(names)} {said}",) if names else ()


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
