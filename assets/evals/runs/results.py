"""The records that runner, store, comparison and queries share: a run, and the result of one case and repeat.

A metric that was not measured is null, never zero.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from assets.evals.sets.eval_set import MetricFields

METRICS = ("wrong_patch", "iterations", "code_lines", "tokens", "cost", "seconds")
"""Metrics with their own column; all others are stored as JSON in the column `more`."""

SUBJECT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class RunRecord(BaseModel):
    """The content of `run.json`: every input of a run, fixed when it starts. A resumed run must have the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,119}$")
    set_name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    set_version: str
    set_sha256: str
    split: str
    subject: str = Field(pattern=f"^{SUBJECT_NAME.pattern}$")
    identity: dict[str, str]
    identity_digest: str
    code_commit: str
    repeats: int = Field(ge=1, le=1000)
    seed: int
    cases: int = Field(ge=1)
    metrics: tuple[MetricFields, ...]
    parallel: int = Field(ge=1)
    case_seconds: float = Field(gt=0)
    started: datetime
    machine: str = ""

    def differences(self, other: "RunRecord") -> list[str]:
        """Each input in which `other` differs, so that it cannot resume this run: `field: mine, not theirs`."""
        fixed = (
            "set_name", "set_version", "set_sha256", "split", "subject", "identity_digest", "code_commit", "repeats",
            "seed", "case_seconds",
        )  # fmt: skip
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in fixed]
        return [f"{name}: {mine}, not {theirs}" for name, mine, theirs in pairs if mine != theirs]


@dataclass(frozen=True)
class ResultRow:
    """The result of one case and repeat. `success` is None if the infrastructure failed; `tries` counts the attempts;
    `load` is the machine's load average per core when it ended, including other programs (1.0: all cores busy)."""

    case: str
    repeat: int
    cluster: str
    strata: dict[str, str]
    split: str
    outcome: str
    success: bool | None
    metrics: dict[str, float]
    tries: int
    ended: str
    summary: str = ""
    trajectory: str | None = None
    patch: str | None = None
    load: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.case, self.repeat
