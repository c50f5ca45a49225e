"""Opens an engine by its name."""

from collections.abc import Collection
from dataclasses import dataclass

from assets.executions.engines.model.engine import ModelEngine
from assets.executions.engines.model.options import ModelOptions, chat_of, options_of
from assets.executions.engines.protocol import Engine
from assets.executions.engines.search.engine import Search
from core.settings import Settings

ENGINES = ("search", "model")


class UnknownEngine(ValueError):
    """No engine has this name."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine and its options. `families` restricts the operators of `search`. The rest is for `model`, with defaults
    from the settings: the chat model's name, the `seed` sent with each request, and bounds and prompts."""

    name: str
    families: Collection[str] | None = None
    chat_model: str | None = None
    seed: int | None = None
    options: ModelOptions | None = None


def open_engine(choice: EngineChoice, settings: Settings) -> Engine:
    """An engine for one attempt.

    Raises `UnknownEngine`, `UnknownChatModel`, `UnknownPrompts`, or `ChatUnavailable` when the model's identity must be
    read from its server and the server is down.
    """
    if choice.name == "search":
        return Search(choice.families)
    if choice.name == "model":
        chat = chat_of(settings, choice.chat_model, seed=choice.seed)
        return ModelEngine(chat, choice.options or options_of(settings))
    raise UnknownEngine(f"there is no engine {choice.name!r}; known: {', '.join(ENGINES)}")
