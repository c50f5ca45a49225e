"""Reads the files of an eval set, within bounds. What they must hold is defined by the model of each kind of set."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

MAX_BYTES = 1 << 20

Model = TypeVar("Model", bound=BaseModel)


class EvalSetError(ValueError):
    """A set or case that cannot be used; the message names the file, what is wrong there, and what to do."""


def read_text(path: Path) -> str:
    """The text of a file. Raises `EvalSetError` if it is missing, larger than `MAX_BYTES` or not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise EvalSetError(f"{path}: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise EvalSetError(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise EvalSetError(f"{path}: not UTF-8 at byte {error.start}") from error


def parse(model: type[Model], text: str | bytes, where: str) -> Model:
    """JSON as a pydantic model. Raises `EvalSetError` with `where` and each wrong field."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'JSON'}: {one['msg']}" for one in error.errors())
        raise EvalSetError(f"{where}: {wrong}") from error
