"""How far the engine `model` may go in one attempt, and with which prompts."""

from dataclasses import dataclass

from core.chat import ChatModel, UnknownChatModel, Usage, find_chat_spec, open_chat_spec
from core.settings import Settings


@dataclass(frozen=True)
class ModelOptions:
    """Upper bounds of one attempt, over all sets of target tests; seconds come from the plan's budget. `prompts`
    names a folder of `assets/executions/engines/model/prompts`."""

    steps: int = 40
    """Answers of the model."""
    tokens: int = 400_000
    """Read and written together."""
    money: float = 5.0
    """In the currency of the model's prices."""
    prompts: str = "v2"

    def spent(self, used: Usage, steps: int) -> str | None:
        """Which bound is reached, in words; None while none is."""
        if steps >= self.steps:
            return f"the model's {self.steps} steps are used up"
        if used.tokens >= self.tokens:
            return f"the model's {self.tokens} tokens are used up"
        if used.money >= self.money:
            return f"the model's budget of {self.money:g} in money is used up"
        return None


def options_of(settings: Settings) -> ModelOptions:
    return ModelOptions(settings.chat_steps, settings.chat_tokens, settings.chat_money, settings.chat_prompts)


def chat_of(settings: Settings, name: str | None = None, *, seed: int | None = None) -> ChatModel:
    """The chat model called `name`, else the one that the settings name; `seed` is sent instead of its own.

    Raises `UnknownChatModel`.
    """
    wanted = name or settings.chat_model
    if wanted is None:
        raise UnknownChatModel("engine 'model' needs a chat model: name one, or set chat_model")
    spec = find_chat_spec(wanted, settings.models_folder)
    return open_chat_spec(spec if seed is None else spec.model_copy(update={"seed": seed % (1 << 31)}))
