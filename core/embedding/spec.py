"""Descriptions of embedding models: their kind, location and use.

A description is the file `model.toml` in a folder named after the model, or an entry of the catalogue in the database.
It never holds a secret, only the name of the environment variable with the key.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.embedding.protocol import EmbedderUnavailable
from core.model_server import ModelServer
from core.payload import first_problem

NAME = r"^[a-z0-9][a-z0-9._-]{0,79}$"
DESCRIPTION = "model.toml"


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field(pattern=NAME)
    migrate: bool = Field(
        default=False, exclude=True, description="Migrate to it as soon as it is registered, behind the gate."
    )


class BuiltIn(_Described):
    """A model that comes with the platform."""

    provider: Literal["wordllama", "hashing"]
    dimensions: int = Field(default=256, ge=8, le=4000)
    max_tokens: int = Field(default=512, ge=1, le=1 << 16)


class _Prefixed(_Described):
    dimensions: int = Field(ge=1, le=4000)
    max_tokens: int = Field(default=512, ge=8, le=1 << 16, description="Tokens of a text beyond this are ignored.")
    query_prefix: str = Field(default="", max_length=400, description="Prefix of a query, see the model's card.")
    document_prefix: str = Field(default="", max_length=400, description="Prefix of a text to be found.")


class OnnxFile(_Prefixed):
    """A transformer as an ONNX file, with the tokenizer it was trained with."""

    provider: Literal["onnx"]
    folder: Path
    file: str = Field(default="model.onnx", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    tokenizer: str = Field(default="tokenizer.json", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    pooling: Literal["mean", "cls"]
    """A text's vector: the mean of its token vectors, or the vector of the first token."""


class Served(_Prefixed, ModelServer):
    """A model on an HTTP server with Ollama's API or an OpenAI-compatible one."""

    price: float = Field(default=0.0, ge=0, description="Money per million tokens.")
    concurrency: int = Field(default=4, ge=1, le=64, description="Simultaneous requests.")
    batch_tokens: int = Field(default=8192, ge=64, le=1 << 20, description="Estimated tokens in one request, at most.")
    batch_texts: int = Field(default=64, ge=1, le=2048, description="Texts in one request, at most.")
    timeout: float = Field(default=60.0, gt=0, le=3600, description="Timeout of one request in seconds.")


ModelSpec = Annotated[BuiltIn | OnnxFile | Served, Field(discriminator="provider")]
_ADAPTER: TypeAdapter[BuiltIn | OnnxFile | Served] = TypeAdapter(ModelSpec)

BUILT_IN: dict[str, BuiltIn] = {
    "wordllama": BuiltIn(name="wordllama", provider="wordllama"),
    "hashing": BuiltIn(name="hashing", provider="hashing", max_tokens=2048),
}


def parse_spec(values: dict[str, Any], origin: str) -> BuiltIn | OnnxFile | Served:
    """The description in `values`. Raises `EmbedderUnavailable` naming the field, and `origin`."""
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        raise EmbedderUnavailable(f"{origin}: {first_problem(error, 'description')}") from error


def find_spec(name: str, folder: Path) -> BuiltIn | OnnxFile | Served:
    """The model called `name`: built in, or described by `folder`/name/model.toml. Raises `EmbedderUnavailable`."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    known = described(folder)
    if name not in known:
        raise EmbedderUnavailable(
            f"no embedding model {name!r}; there are: {', '.join([*BUILT_IN, *known])} "
            f"(a folder with a {DESCRIPTION} in {folder} adds one)"
        )
    file = folder / name / DESCRIPTION
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EmbedderUnavailable(f"{file} cannot be read: {error}") from error
    if values.get("provider") == "onnx":
        values["folder"] = file.parent
    return parse_spec({**values, "name": name}, str(file))


def described(folder: Path) -> list[str]:
    """The names of the models described in `folder`."""
    return sorted(path.parent.name for path in folder.glob(f"[a-z0-9]*/{DESCRIPTION}"))
