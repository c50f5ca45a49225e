"""Defaults that were promoted: values of settings that evals found safe, with every change and the way back.

They stand below what a person sets by environment or file, and above what the program brings. One file in
the home folder, replaced whole under a lock, so that of two changes at once the second sees the first.
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
    "embedding_model",
    "task_seconds",
)
"""The settings that a promotion may change."""

MAX_BYTES = 16 << 20


class DefaultsError(RuntimeError):
    """The file of promoted defaults cannot be read, or a change does not fit what it holds now."""


class Change(BaseModel):
    """One change of the defaults. `before` and `after` hold the settings that it changed; a setting that is missing
    was, or is, not promoted. `version` counts changes from 1."""

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
    """The version that a rollback takes back."""


class Defaults(BaseModel):
    """What is promoted now, and how it came about, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, str] = Field(default_factory=dict)
    history: tuple[Change, ...] = ()

    @property
    def version(self) -> int:
        """0 before the first change."""
        return self.history[-1].version if self.history else 0

    @property
    def in_force(self) -> Change | None:
        """The newest promotion that no rollback has taken back; None without any."""
        undone = {change.undoes for change in self.history if change.kind == "rollback"}
        standing = (c for c in reversed(self.history) if c.kind == "promotion" and c.version not in undone)
        return next(standing, None)


def read_defaults(home: Path) -> Defaults:
    """Empty when nothing was promoted. Raises `DefaultsError` for a file that is damaged."""
    path = home / FILE
    try:
        with path.open("rb") as file:
            return Defaults.model_validate_json(file.read(MAX_BYTES))
    except FileNotFoundError:
        return Defaults()
    except (OSError, ValidationError) as error:
        first = error.errors(include_input=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DefaultsError(
            f"{path} cannot be read ({first}): put a sound copy there, or remove it to go back to the built-in defaults"
        ) from error


def change_defaults(home: Path, decide: Callable[[Defaults], Change | None]) -> Defaults:
    """Lets `decide` look at the present defaults, alone, and applies the change that it returns, if any.

    `decide` may raise: then nothing is changed. Its change must carry the next version.
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
            raise DefaultsError(f"{unknown[0]} is no setting that can be promoted; there are {', '.join(PROMOTABLE)}")
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
