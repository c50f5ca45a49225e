"""Sets whose cases are lines of `cases.jsonl`: an id, a split, a cluster, strata, and an input for the subject.

For scripted subjects and for tasks that need no files. Not for cases with repositories.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from .set_files import EvalSetError, parse

MAX_LINE = 1 << 20
MAX_CASES = 100_000


class PlainCase(BaseModel):
    """One line of `cases.jsonl`. A case without a cluster is its own cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    split: str = Field(min_length=1, max_length=40)
    own_cluster: str | None = Field(default=None, alias="cluster", min_length=1, max_length=200)
    strata: dict[str, str] = Field(default_factory=dict, max_length=8)
    input: dict[str, Any] = Field(default_factory=dict)

    @property
    def cluster(self) -> str:
        return self.own_cluster or f"case {self.id}"


def load_plain_cases(root: Path) -> list[PlainCase]:
    """The cases in the file's order. Raises `EvalSetError` with the line's number."""
    path, cases = root / "cases.jsonl", []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if len(line) > MAX_LINE or number > MAX_CASES:
                    raise EvalSetError(f"{path}:{number}: more than {MAX_CASES} lines, or {MAX_LINE} bytes in one line")
                if line.strip():
                    cases.append(parse(PlainCase, line, f"{path}:{number}"))
    except OSError as error:
        raise EvalSetError(f"{path}: {error.strerror or error}") from error
    return cases
