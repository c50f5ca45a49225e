"""A repository's own settings: `penstock.toml`, read from the base commit.

They can only restrict: fewer paths, lower limits. An unknown key is an error, so that a misspelt restriction
is not ignored.
"""

import fnmatch
import re
import tomllib
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.work import Budget
from sandbox.environments.services.declared import ServiceDeclarations

FILE_NAME = "penstock.toml"
MAX_BYTES = 64 << 10


class RepositorySettingsError(ValueError):
    """`penstock.toml` is invalid; the message names the key and what is allowed."""


class RepositoryLimits(BaseModel):
    """Upper bounds set by the repository; the lower of these and the platform's applies. `memory_mb` is in MiB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float | None = Field(default=None, gt=0)
    candidates: int | None = Field(default=None, gt=0)
    memory_mb: int | None = Field(default=None, ge=64)


Text = Annotated[str, Field(min_length=1, max_length=500)]


class RepositoryEnvironment(BaseModel):
    """What tests need, where it is not found or found wrongly. `language`: the one whose tests are run, where there are
    several. `python`: a version or specifier. `requirements`: PEP
    508 texts. `files`: requirements files. `extras`, `groups`: names of the project's own. `projects`: folders of the
    packages to install. Any of `requirements`, `files`, `extras` and `groups` replaces what would be found for tests.
    `services`: see `ServiceDeclarations`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Text | None = None
    python: Text | None = None
    requirements: Annotated[tuple[Text, ...], Field(max_length=500)] | None = None
    files: Annotated[tuple[Text, ...], Field(max_length=50)] | None = None
    extras: Annotated[tuple[Text, ...], Field(max_length=50)] | None = None
    groups: Annotated[tuple[Text, ...], Field(max_length=50)] | None = None
    projects: Annotated[tuple[Text, ...], Field(max_length=40)] | None = None
    services: ServiceDeclarations = ServiceDeclarations()


class RepositorySettings(BaseModel):
    """`test`: the test command. `setup`: commands to run before it, each in the sandbox. `paths`: glob
    patterns of the files that a patch may change (`**` crosses folders). `limits`: see `RepositoryLimits`.
    `environment`: see `RepositoryEnvironment`. `derived_tests`: whether a patch that is proven by a test derived from
    the issue alone is a draft or can pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    setup: tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...] = ()
    paths: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = ()
    derived_tests: Literal["draft", "pass"] = "draft"
    limits: RepositoryLimits = RepositoryLimits()
    environment: RepositoryEnvironment = RepositoryEnvironment()

    @field_validator("setup", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("paths")
    @classmethod
    def _inside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if pattern.startswith("/") or ".." in pattern.split("/"):
                raise ValueError(f"{pattern!r} leads out of the repository; give paths relative to its root")
        return value

    def allows(self, path: str) -> bool:
        """Whether `paths` allows a patch to change this file."""
        return not self.paths or any(matches(path, pattern) for pattern in self.paths)

    def narrowed(self, budget: Budget) -> Budget:
        """The given budget, lowered to this repository's limits."""
        lower = {
            "seconds": min(budget.seconds, self.limits.seconds or budget.seconds),
            "candidates": min(budget.candidates, self.limits.candidates or budget.candidates),
        }
        return budget.model_copy(update=lower)


def _keys(place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known in the table at `place`."""
    model: type[BaseModel] = RepositorySettings
    for part in place:
        field = model.model_fields.get(str(part))
        kinds = get_args(field.annotation) or (field.annotation,) if field is not None else ()
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def matches(path: str, pattern: str) -> bool:
    """Glob match over a whole path: `*` stays within a folder, `**` crosses folders, a folder matches all in it."""
    pattern = pattern.removeprefix("./")
    if pattern.endswith("/"):
        pattern += "**"
    if not any(character in pattern for character in "*?["):
        return path == pattern or path.startswith(pattern + "/")
    parts = []
    for piece in re.split(r"(\*\*/?|\*|\?|\[[^\]]*\])", pattern):
        if piece in ("**/", "**"):
            parts.append("(?:.*/)?" if piece == "**/" else ".*")
        elif piece == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif piece.startswith("[") and piece.endswith("]"):
            parts.append(fnmatch.translate(piece)[4:-3])
        else:
            parts.append(re.escape(piece))
    return re.fullmatch("".join(parts), path) is not None


def read_settings(content: bytes | None) -> RepositorySettings:
    """Parses the content of `penstock.toml`, None when the repository has none. Raises `RepositorySettingsError`."""
    if content is None:
        return RepositorySettings()
    if len(content) > MAX_BYTES:
        raise RepositorySettingsError(f"{FILE_NAME} is larger than {MAX_BYTES} bytes")
    try:
        values = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise RepositorySettingsError(f"{FILE_NAME} is not UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise RepositorySettingsError(f"{FILE_NAME} is not valid TOML: {error}") from error
    try:
        return RepositorySettings.model_validate(values)
    except ValidationError as error:
        complaints = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                complaints.append(f"unknown key {key!r} (known: {', '.join(_keys(item['loc'][:-1]))})")
            elif item["type"] == "tuple_type":
                complaints.append(f"{key}: a list of texts is needed")
            else:
                complaints.append(f"{key}: {item['msg']}")
        raise RepositorySettingsError(f"{FILE_NAME}: {'; '.join(complaints)}") from error
