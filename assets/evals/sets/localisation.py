"""Reads the cases of `eval_sets/localisation` and scores a ranking of files on them. Not for searching."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from assets.shared.ranking_metrics import recall, reciprocal_rank

from .eval_set import load_set

ROOT = Path(__file__).resolve().parents[3] / "eval_sets" / "localisation"
DEPTHS = (1, 5, 10, 20)


class Input(BaseModel):
    """A case's `input`: a request, the release to search, and the files to find there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    version: str
    query: str = Field(min_length=1)
    files: tuple[str, ...] = Field(min_length=1)


@dataclass(frozen=True)
class LocalisationCase:
    id: str
    package: str
    version: str
    query: str
    files: frozenset[str]

    @property
    def release(self) -> tuple[str, str]:
        return self.package, self.version


def load_localisation(root: Path = ROOT) -> list[LocalisationCase]:
    """The cases in the set's order. Raises `EvalSetError`."""
    cases = []
    for case in load_set(root).cases:
        given = Input.model_validate(case.payload.input)
        cases.append(LocalisationCase(case.id, given.package, given.version, given.query, frozenset(given.files)))
    return cases


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Recall at each of `DEPTHS`, and reciprocal rank, of one ranked list; all from 0 to 1."""

    recall: tuple[float, ...]
    reciprocal_rank: float


def score_ranking(ranked: Sequence[str], wanted: frozenset[str]) -> Retrieval:
    """Scores distinct names, best first, against the relevant ones. Raises `ValueError` if a name is ranked twice or
    none is relevant."""
    if len(set(ranked)) != len(ranked):
        raise ValueError("a name is ranked twice")
    if not wanted:
        raise ValueError("no name is relevant, so a ranking has no score")
    found = tuple(recall(ranked, wanted, depth) for depth in DEPTHS)
    return Retrieval(found, reciprocal_rank(ranked, wanted, len(ranked)))
