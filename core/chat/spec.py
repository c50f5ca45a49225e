"""How a chat model is described: which API, where, its prices and bounds.

A description is `chat.toml` in a folder of its name, beside those of embedding models. It never holds a
secret: a key is named by the environment variable that holds it. `ollama/NAME` needs no description.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, field_validator

from core.chat.protocol import UnknownChatModel

DESCRIPTION = "chat.toml"
LOCAL_OLLAMA = "http://127.0.0.1:11434"
NAME = r"^[a-z0-9][a-z0-9._-]{0,79}$"
OLLAMA = "ollama/"


class ChatSpec(BaseModel):
    """One model behind one server."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field(max_length=200)
    provider: Literal["ollama", "openai"]
    url: HttpUrl = Field(description="Of Ollama its root, of an OpenAI-compatible server with /v1.")
    model: str = Field(min_length=1, max_length=200, description="The model's name on its server.")
    revision: str | None = Field(default=None, max_length=100, description="Digest of the model, where there is one.")
    key_variable: str | None = Field(
        default=None, pattern=r"^[A-Z][A-Z0-9_]*$", description="Environment variable that holds the server's key."
    )
    prompt_price: float = Field(default=0.0, ge=0, description="Money per million tokens that are read.")
    completion_price: float = Field(default=0.0, ge=0, description="Money per million tokens that are written.")
    context_tokens: int = Field(default=16_384, ge=512, le=1 << 24, description="Prompt and answer together.")
    answer_tokens: int = Field(default=2048, ge=16, le=1 << 20, description="Longest single answer.")
    answer_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="What an OpenAI-compatible server calls that bound."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | Literal["default"] = Field(
        default=0.0, description='"default" sends none: some models take none.'
    )
    seed: int | None = Field(default=None, ge=0, le=(1 << 31) - 1, description="Sent where given.")
    native_tools: bool = Field(
        default=True, description="False: tools are offered in words, answers bound by a schema."
    )
    timeout: float = Field(default=120.0, gt=0, le=3600, description="Seconds for one request.")
    retries: int = Field(default=4, ge=0, le=20, description="Repeats of a request that may succeed later.")

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, value: HttpUrl) -> HttpUrl:
        if value.username or value.password or value.query:
            raise ValueError("a password or query does not belong in the address: name a key_variable")
        return value


def find_chat_spec(name: str, folder: Path) -> ChatSpec:
    """The model called `name`: described in `folder`/name/chat.toml, or `ollama/MODEL` on this machine's Ollama.

    Raises `UnknownChatModel` naming the file and field.
    """
    if name.startswith(OLLAMA) and len(name) > len(OLLAMA):
        values = {"provider": "ollama", "url": LOCAL_OLLAMA, "model": name.removeprefix(OLLAMA)}
        return _parsed({**values, "name": name}, name)
    file = folder / name / DESCRIPTION
    if not re.fullmatch(NAME, name) or not file.is_file():
        known = ", ".join(described_chat_models(folder)) or "none yet"
        raise UnknownChatModel(
            f"no chat model {name!r}; described in {folder}: {known} "
            f"(a folder NAME with a {DESCRIPTION} adds one; ollama/NAME is one of this machine's Ollama)"
        )
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnknownChatModel(f"{file} cannot be read: {error}") from error
    return _parsed({**values, "name": name}, str(file))


def described_chat_models(folder: Path) -> list[str]:
    """The names of the chat models described in `folder`."""
    return sorted(path.parent.name for path in folder.glob(f"[a-z0-9]*/{DESCRIPTION}"))


def _parsed(values: dict[str, object], origin: str) -> ChatSpec:
    try:
        return ChatSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "description"
        raise UnknownChatModel(f"{origin}: {where}: {first['msg']}") from error
