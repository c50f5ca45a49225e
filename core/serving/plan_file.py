"""The TOML file that `penstock models pack` reads: cards, and models with what they take.

    [[cards]]
    name = "a100"
    memory = "40GiB"
    headroom = "1GiB"          # by default
    count = 2                  # a100-1 and a100-2

    [[models]]
    name = "coder"
    weights = "4.7GiB"
    layers = 28
    kv_heads = 4
    head_size = 128
    context = 8192
    parallel = 4

Instead of `weights`, `layers`, `kv_heads` and `head_size`, `ollama = "qwen2.5-coder:7b"` takes them from an Ollama
server that has the model.
"""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from core.serving.packing import COMPUTE_BYTES, Card, ServedModel, kv_bytes_per_token

MOST_BYTES = 1 << 20
MOST_ENTRIES = 1000
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
          "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # fmt: skip


class PlanFileError(ValueError):
    """The file is wrong; the message names it, the entry and the field."""


def read_bytes(value: object) -> object:
    """A number of bytes, or a text such as 4.7GiB."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([KMGT]i?B)?", value)
    if match is None:
        raise ValueError("is not a size such as 4.7GiB or 800MiB")
    return round(float(match[1]) * _UNITS[match[2] or ""])


Bytes = Annotated[int, BeforeValidator(read_bytes), Field(ge=0, le=1 << 50)]
Name = Annotated[str, Field(min_length=1, max_length=120)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardEntry(_Table):
    name: Name
    memory: Bytes
    headroom: Bytes = 1 << 30
    count: int = Field(default=1, ge=1, le=1000)


class Shape(_Table):
    """What decides about a model's memory."""

    weights: Bytes
    layers: int = Field(ge=1, le=10_000)
    kv_heads: int = Field(ge=1, le=10_000)
    head_size: int = Field(ge=1, le=100_000)


class ModelEntry(_Table):
    name: Name
    ollama: Name | None = None
    weights: Bytes | None = None
    layers: int | None = Field(default=None, ge=1, le=10_000)
    kv_heads: int | None = Field(default=None, ge=1, le=10_000)
    head_size: int | None = Field(default=None, ge=1, le=100_000)
    cache_bytes: float = Field(default=2.0, gt=0, le=8, description="Bytes of an element of the cache: 2 for f16.")
    compute: Bytes = COMPUTE_BYTES
    context: int = Field(ge=1, le=1 << 30)
    parallel: int = Field(default=1, ge=1, le=10_000)
    priority: int = Field(default=1, ge=1, le=1000)

    @model_validator(mode="after")
    def _one_source(self) -> "ModelEntry":
        given = [getattr(self, name) is not None for name in Shape.model_fields]
        if self.ollama is None and not all(given):
            raise ValueError("needs weights, layers, kv_heads and head_size, or ollama = NAME")
        if self.ollama is not None and any(given):
            raise ValueError("has ollama = NAME, which gives weights, layers, kv_heads and head_size: remove these")
        return self


class PlanFile(_Table):
    cards: tuple[CardEntry, ...] = Field(min_length=1, max_length=MOST_ENTRIES)
    models: tuple[ModelEntry, ...] = Field(min_length=1, max_length=MOST_ENTRIES)


def read_plan(file: Path) -> PlanFile:
    """Raises `PlanFileError`."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise PlanFileError(f"{file} has more than {MOST_BYTES} bytes")
        parsed = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise PlanFileError(f"{file} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanFileError(f"{file} is not valid TOML: {error}") from error
    try:
        return PlanFile.model_validate(parsed)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise PlanFileError(f"{file}: {_place(first['loc'])}{first['msg'].removeprefix('Value error, ')}") from error


def _place(loc: tuple[Any, ...]) -> str:
    text = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return f"{text}: " if text else ""


def cards(plan: PlanFile) -> list[Card]:
    return [
        Card(one.name if one.count == 1 else f"{one.name}-{number}", one.memory, one.headroom)
        for one in plan.cards
        for number in range(1, one.count + 1)
    ]


def models(plan: PlanFile, ask: Callable[[str], Shape]) -> list[ServedModel]:
    """`ask` gives the shape of a model that names one of Ollama's."""
    found = []
    for one in plan.models:
        shape = ask(one.ollama) if one.ollama else Shape.model_validate(one.model_dump(include=set(Shape.model_fields)))
        token = kv_bytes_per_token(shape.layers, shape.kv_heads, shape.head_size, one.cache_bytes)
        found.append(
            ServedModel(one.name, max(1, shape.weights), token, one.context, one.parallel, one.compute, one.priority)
        )
    return found
