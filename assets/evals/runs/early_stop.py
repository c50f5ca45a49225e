"""Ends a run early once its subject is found to be worse than a baseline, to save the cost of the rest.

Only "worse" ends a run: "better" and "not worse" must hold for every metric, and only the comparison of complete runs
decides them. The decision is stored with the run, and `compare` reads it.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from assets.evals.sets.eval_set import Case
from core.statistics import SequentialTest
from core.statistics.sequential import Stop

from .results import ResultRow, RunRecord
from .store import ResultStore, StoreError, write_whole

ALPHA = 0.02
"""Half of it is spent on "worse": a run of an equal subject ends by mistake at most once in a hundred, which adds
little to the error rate of the final comparison."""


class Decision(BaseModel):
    """Why a run ended early, stored as its `decision.json`. `evidence` is the e-value: the capital that a stake of 1
    grew to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str
    stop: Stop
    evidence: float
    clusters: int
    alpha: float = ALPHA

    @property
    def sentence(self) -> str:
        return (
            f"success was found worse than {self.baseline}'s after {self.clusters} clusters, by a test that is valid "
            f"however often it is evaluated (evidence {self.evidence:.0f} to 1)"
        )


class EarlyStop:
    """Receives results as they arrive, and tests complete clusters in the planned order, not in that of arrival."""

    def __init__(
        self, store: ResultStore, record: RunRecord, baseline: RunRecord, order: Sequence[tuple[Case, int]]
    ) -> None:
        if baseline.set_sha256 != record.set_sha256 or baseline.split != record.split:
            raise StoreError(
                f"{baseline.run} is of another version or split of the set than {record.run}, so it cannot end it early"
            )
        margin = next((one.margin for one in record.metrics if one.role == "primary" and one.kind == "rate"), 0.05)
        self._store, self._record, self._baseline = store, record, baseline
        self._test = SequentialTest(margin, ALPHA)
        self._means = _means(store.rows(baseline.run))
        self._waiting: dict[str, set[tuple[str, int]]] = {}
        for case, repeat in order:
            self._waiting.setdefault(case.cluster, set()).add((case.id, repeat))
        self._order = list(self._waiting)
        self._rows: dict[str, list[ResultRow]] = {}
        self._next = 0

    def __call__(self, row: ResultRow) -> str | None:
        """The reason to stop, or None. A case without a result in both runs is left out of its cluster."""
        self._waiting[row.cluster].discard(row.key)
        self._rows.setdefault(row.cluster, []).append(row)
        while self._next < len(self._order) and not self._waiting[self._order[self._next]]:
            found = _means(self._rows.get(self._order[self._next], []))
            self._next += 1
            differences = [mean - self._means[case] for case, mean in found.items() if case in self._means]
            if differences and self._test.add(sum(differences) / len(differences)) is Stop.WORSE:
                return self._decide().sentence
        return None

    def _decide(self) -> Decision:
        evidence = self._test.evidence(Stop.WORSE)
        decision = Decision(
            baseline=self._baseline.run, stop=Stop.WORSE, evidence=evidence, clusters=self._test.seen
        )  # fmt: skip
        path = self._store.folder(self._record.run) / "decision.json"
        write_whole(path, decision.model_dump_json(indent=2).encode() + b"\n")
        return decision


def _means(rows: Sequence[ResultRow]) -> Mapping[str, float]:
    ends: dict[str, list[bool]] = {}
    for row in rows:
        if row.success is not None:
            ends.setdefault(row.case, []).append(row.success)
    return {case: sum(seen) / len(seen) for case, seen in ends.items()}


def read_decision(store: ResultStore, run: str) -> Decision | None:
    """The decision that ended a run early; None if none did. Raises `StoreError` if the file is damaged."""
    path = store.folder(run) / "decision.json"
    try:
        return Decision.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(f"{path}: {error}") from error
