"""Sets whose cases are lines of `cases.jsonl`: an id, a split, a cluster, strata, and an input for the subject.

For scripted subjects, and for a user's own tasks that need no files. Not for cases with repositories.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .repair import RepairSetError

MAX_LINE = 1 << 20
MAX_CASES = 100_000


class PlainCase(BaseModel):
    """One line of `cases.jsonl`. Without a cluster, a case stands alone."""

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
    """The cases, in the file's order. Raises `RepairSetError` naming the line."""
    path, cases = root / "cases.jsonl", []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if len(line) > MAX_LINE or number > MAX_CASES:
                    raise RepairSetError(f"{path}:{number}: more than {MAX_CASES} lines or {MAX_LINE} bytes in one")
                if line.strip():
                    cases.append(_case(path, number, line))
    except OSError as error:
        raise RepairSetError(f"{path}: {error.strerror or error}") from error
    return cases


def _case(path: Path, number: int, line: bytes) -> PlainCase:
    try:
        return PlainCase.model_validate_json(line)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'line'}: {one['msg']}" for one in error.errors())
        raise RepairSetError(f"{path}:{number}: {where}") from error
