"""Opens the engine that a task asks for by name."""

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
    """An engine by name. `families` of operators narrow `search`; the rest is of `model`, where what is not given is as
    the settings say: `chat_model` is a name, `seed` is sent with each request, `options` are bounds and prompts."""

    name: str
    families: Collection[str] | None = None
    chat_model: str | None = None
    seed: int | None = None
    options: ModelOptions | None = None


def open_engine(choice: EngineChoice, settings: Settings) -> Engine:
    """An engine for one attempt.

    Raises `UnknownEngine`, `UnknownChatModel`, `UnknownPrompts`, and `ChatUnavailable` where the chat model's server
    has to tell its identity and is down.
    """
    if choice.name == "search":
        return Search(choice.families)
    if choice.name == "model":
        chat = chat_of(settings, choice.chat_model, seed=choice.seed)
        return ModelEngine(chat, choice.options or options_of(settings))
    raise UnknownEngine(f"there is no engine {choice.name!r}; known: {', '.join(ENGINES)}")
