"""Descriptions of chat models: API, server, prices and limits.

A description is the file `chat.toml` in a folder named after the model, next to the folders of embedding models. It
never holds a secret, only the name of the environment variable with the key. `ollama/NAME` needs no description.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from core.chat.protocol import UnknownChatModel
from core.model_server import ModelServer
from core.payload import first_problem

DESCRIPTION = "chat.toml"
LOCAL_OLLAMA = "http://127.0.0.1:11434"
NAME = r"^[a-z0-9][a-z0-9._-]{0,79}$"
OLLAMA = "ollama/"


class ChatSpec(ModelServer):
    """One model on one server."""

    name: str = Field(max_length=200)
    prompt_price: float = Field(default=0.0, ge=0, description="Money per million prompt tokens.")
    completion_price: float = Field(default=0.0, ge=0, description="Money per million completion tokens.")
    context_tokens: int = Field(default=16_384, ge=512, le=1 << 24, description="Prompt and answer together.")
    answer_tokens: int = Field(default=2048, ge=16, le=1 << 20, description="Longest single answer.")
    answer_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="An OpenAI-compatible server's name for the limit of the answer."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | Literal["default"] = Field(
        default=0.0, description='"default" sends no temperature, since some models reject the field.'
    )
    seed: int | None = Field(default=None, ge=0, le=(1 << 31) - 1, description="Sent if given.")
    native_tools: bool = Field(
        default=True, description="False: tools are described in the prompt, and a schema constrains the answer."
    )
    timeout: float = Field(default=120.0, gt=0, le=3600, description="Timeout of one request in seconds.")

    @property
    def sampling(self) -> dict[str, Any]:
        """The temperature and seed to send."""
        temperature = None if self.temperature == "default" else self.temperature
        given = {"temperature": temperature, "seed": self.seed}
        return {name: value for name, value in given.items() if value is not None}


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
            f"(a folder NAME with a {DESCRIPTION} adds one; ollama/NAME names a model of this machine's Ollama)"
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
        raise UnknownChatModel(f"{origin}: {first_problem(error, 'description')}") from error
