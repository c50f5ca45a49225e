"""Promoted defaults: values of settings that evals found safe, with the history of promotions and rollbacks.

They rank below what a user sets by environment or file, and above the built-in defaults. One file in the home folder
holds them. It is replaced as a whole under a lock, so that of two concurrent changes the second sees the first.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FILE = "defaults.json"
PROMOTABLE = (
    "engine",
    "chat_model",
    "chat_prompts",
    "chat_steps",
    "chat_tokens",
    "chat_money",
    "chat_samples",
    "embedding_model",
    "task_seconds",
)
"""The settings that a promotion may change."""

MAX_BYTES = 16 << 20


class DefaultsError(RuntimeError):
    """The file of promoted defaults cannot be read, or a change does not fit its present content."""


class Change(BaseModel):
    """One change of the defaults. `before` and `after` hold the promoted values of the settings that it changed; a
    setting missing from one of them was not promoted then. `version` counts changes from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1)
    kind: Literal["promotion", "rollback"]
    at: datetime
    by: str
    before: dict[str, str]
    after: dict[str, str]
    verdict: str = ""
    reason: str
    baseline: str = ""
    candidate: str = ""
    report: str = ""
    undoes: int | None = None
    """The version that a rollback undoes."""


class Defaults(BaseModel):
    """The values promoted now, and the changes that led to them, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, str] = Field(default_factory=dict)
    history: tuple[Change, ...] = ()

    @property
    def version(self) -> int:
        """0 before the first change."""
        return self.history[-1].version if self.history else 0

    @property
    def in_force(self) -> Change | None:
        """The newest promotion that was not rolled back, or None."""
        undone = {change.undoes for change in self.history if change.kind == "rollback"}
        standing = (c for c in reversed(self.history) if c.kind == "promotion" and c.version not in undone)
        return next(standing, None)


def read_defaults(home: Path) -> Defaults:
    """Empty when nothing was promoted. Raises `DefaultsError` for a damaged file."""
    path = home / FILE
    try:
        with path.open("rb") as file:
            return Defaults.model_validate_json(file.read(MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return Defaults()
    except (OSError, ValidationError) as error:
        first = error.errors(include_input=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DefaultsError(
            f"{path} cannot be read ({first}): restore a valid copy, or remove it to return to the built-in defaults"
        ) from error


def change_defaults(home: Path, decide: Callable[[Defaults], Change | None]) -> Defaults:
    """Calls `decide` with the present defaults, under the lock, and applies the change that it returns, if any.

    If `decide` raises, nothing changes. Raises `DefaultsError` for a change without the next version number, or of a
    setting that cannot be promoted.
    """
    with _locked(home):
        present = read_defaults(home)
        change = decide(present)
        if change is None:
            return present
        if change.version != present.version + 1:
            raise DefaultsError(f"change {change.version} does not follow version {present.version}")
        unknown = sorted({*change.before, *change.after} - set(PROMOTABLE))
        if unknown:
            raise DefaultsError(f"{unknown[0]} cannot be promoted; the settings that can are {', '.join(PROMOTABLE)}")
        kept = {name: value for name, value in present.values.items() if name not in change.before}
        changed = Defaults(values={**kept, **change.after}, history=(*present.history, change))
        _replace(home / FILE, changed)
        return changed


def promoted_values(home: Path) -> Mapping[str, str]:
    """The promoted settings, for `core.settings`. Raises `DefaultsError`."""
    return {name: value for name, value in read_defaults(home).values.items() if name in PROMOTABLE}


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / f".{FILE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, changed: Defaults) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(changed.model_dump(mode="json"), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
