"""How an embedding model is described: what kind it is, where it is, and how it wants to be used.

A description comes from a `model.toml` in a folder of that name, or from the catalogue in the
database. It never holds a secret: a key is named by the environment variable that holds it.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, ValidationError, field_validator

from core.embedding.protocol import EmbedderUnavailable

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
    query_prefix: str = Field(default="", max_length=400, description="Put before a query, as the model's card says.")
    document_prefix: str = Field(default="", max_length=400, description="Put before a text that is searched.")


class OnnxFile(_Prefixed):
    """A transformer as an ONNX file, with the tokenizer it was trained with."""

    provider: Literal["onnx"]
    folder: Path
    file: str = Field(default="model.onnx", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    tokenizer: str = Field(default="tokenizer.json", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    pooling: Literal["mean", "cls"]
    """How token vectors become one: their mean over the text, or that of the first token."""


class Served(_Prefixed):
    """A model behind an HTTP server: Ollama's own API, or the one that OpenAI made common."""

    provider: Literal["ollama", "openai"]
    url: HttpUrl
    model: str = Field(min_length=1, max_length=200, description="The model's name on its server.")
    revision: str | None = Field(default=None, max_length=100, description="Digest of the model, where there is one.")
    key_variable: str | None = Field(
        default=None, pattern=r"^[A-Z][A-Z0-9_]*$", description="Environment variable that holds the server's key."
    )
    price: float = Field(default=0.0, ge=0, description="Money per million tokens.")
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests at the same time.")
    batch_tokens: int = Field(default=8192, ge=64, le=1 << 20, description="Most tokens in one request, by estimate.")
    batch_texts: int = Field(default=64, ge=1, le=2048, description="Most texts in one request.")
    timeout: float = Field(default=60.0, gt=0, le=3600, description="Seconds for one request.")
    retries: int = Field(default=4, ge=0, le=20, description="Repeats of a request that may succeed later.")

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, value: HttpUrl) -> HttpUrl:
        if value.username or value.password or value.query:
            raise ValueError("a password or query does not belong in the address: name a key_variable")
        return value


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
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "description"
        raise EmbedderUnavailable(f"{origin}: {where}: {first['msg']}") from error


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
