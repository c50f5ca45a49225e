"""Opens an engine by its name."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from assets.executions.engines.auto import AutoEngine
from assets.executions.engines.hybrid.advice import Advice
from assets.executions.engines.hybrid.engine import HybridEngine
from assets.executions.engines.model.engine import ModelEngine
from assets.executions.engines.model.options import ModelOptions, chat_of, options_of
from assets.executions.engines.protocol import Engine
from assets.executions.engines.search.engine import Search
from core.chat import ChatModel, ChatUnavailable, UnknownChatModel
from core.engine_rules import DEFAULT_RULES, read_engine_rules
from core.settings import Settings

ENGINES = ("search", "model", "hybrid", "auto")
_VARIED = 0.7
"""The temperature of a second sample and those after it."""


class UnknownEngine(ValueError):
    """No engine has this name."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine and its options. `families` restricts the operators of `search`. The rest is for `model` and `hybrid`,
    with defaults from the settings: the chat model's name, the `seed` sent with each request, and bounds and prompts.
    """

    name: str
    families: Collection[str] | None = None
    chat_model: str | None = None
    seed: int | None = None
    options: ModelOptions | None = None
    task: str | None = None
    """The task that the engine works on, which a chat model's server may be told."""


def open_engine(choice: EngineChoice, settings: Settings) -> Engine:
    """An engine for one attempt.

    Raises `UnknownEngine`, `UnknownChatModel`, `UnknownPrompts`, or `ChatUnavailable` when the model's identity must be
    read from its server and the server is down.
    """
    if choice.name == "search":
        return Search(choice.families)
    if choice.name == "model":
        return _model(choice, settings)
    if choice.name == "hybrid":
        return _hybrid(choice, settings)
    if choice.name == "auto":
        rules = read_engine_rules(settings.engine_rules or DEFAULT_RULES)
        configured = bool(choice.chat_model or settings.chat_model)
        return AutoEngine(rules, configured, lambda name: open_engine(replace(choice, name=name), settings))
    raise UnknownEngine(f"there is no engine {choice.name!r}; known: {', '.join(ENGINES)}")


def _model(choice: EngineChoice, settings: Settings) -> ModelEngine:
    chat = chat_of(settings, choice.chat_model, seed=choice.seed, task=choice.task)
    return ModelEngine(chat, choice.options or options_of(settings))


def _hybrid(choice: EngineChoice, settings: Settings) -> HybridEngine:
    """Without a chat model that answers, the search alone. A model that the task itself names must be known."""
    search = Search(choice.families)
    if not (choice.chat_model or settings.chat_model):
        return HybridEngine(search, None, "No chat model is configured")
    try:
        model = _model(choice, settings)
    except UnknownChatModel as error:
        if choice.chat_model:
            raise
        return HybridEngine(search, None, f"The chat model cannot be used ({error})")
    except ChatUnavailable as error:
        return HybridEngine(search, None, f"The chat model's server does not answer ({error})")

    def sampler(number: int) -> ChatModel:
        seed = None if choice.seed is None and not number else (choice.seed or 0) + number
        varied = _VARIED if number else None
        return chat_of(settings, choice.chat_model, seed=seed, temperature=varied, task=choice.task)

    return HybridEngine(search, Advice(model, sampler, model.options.samples))
