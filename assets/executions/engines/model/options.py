"""The bounds of the engine `model` in one attempt, and its prompts."""

from dataclasses import dataclass

from core.chat import ChatModel, Left, OverBudget, UnknownChatModel, Usage, find_chat_spec, open_chat_spec
from core.settings import Settings


@dataclass(frozen=True)
class ModelOptions:
    """Upper bounds of one attempt, for all sets of target tests together; its seconds are bounded by the plan's budget.
    `prompts` names a folder of `assets/executions/engines/model/prompts`."""

    steps: int = 40
    """Answers of the model."""
    tokens: int = 400_000
    """Prompt and completion tokens together."""
    money: float = 5.0
    """In the currency of the model's prices."""
    prompts: str = "v2"
    samples: int = 3
    """Answers to one question for a patch, by the engine `hybrid`."""

    def spent(self, used: Usage, steps: int) -> str | None:
        """Which bound is reached, as text; None while none is."""
        if steps >= self.steps:
            return f"the model's {self.steps} steps are used up"
        if used.tokens >= self.tokens:
            return f"the model's {self.tokens} tokens are used up"
        if used.money >= self.money:
            return f"the model's budget of {self.money:g} in money is used up"
        return None

    def left(self, used: Usage) -> Left:
        return Left(self.tokens - used.tokens, self.money - used.money)

    def too_little(self, error: OverBudget) -> str:
        """Which bound the next request could pass, as text."""
        bound = f"{self.tokens} tokens do" if error.bound == "tokens" else f"budget of {self.money:g} in money does"
        return f"the model's {bound} not suffice for another answer: {error}"


def options_of(settings: Settings) -> ModelOptions:
    return ModelOptions(
        settings.chat_steps, settings.chat_tokens, settings.chat_money, settings.chat_prompts, settings.chat_samples
    )


def chat_of(
    settings: Settings,
    name: str | None = None,
    *,
    seed: int | None = None,
    temperature: float | None = None,
    task: str | None = None,
) -> ChatModel:
    """The chat model called `name`, else the one in the settings; `seed` replaces the model's own, and `temperature`
    one that is 0. `task` is what it is used for.

    Raises `UnknownChatModel`.
    """
    wanted = name or settings.chat_model
    if wanted is None:
        raise UnknownChatModel("engine 'model' needs a chat model: name one, or set chat_model")
    spec = find_chat_spec(wanted, settings.models_folder)
    if seed is not None:
        spec = spec.model_copy(update={"seed": seed % (1 << 31)})
    if temperature is not None and spec.temperature == 0:
        spec = spec.model_copy(update={"temperature": temperature})
    return open_chat_spec(spec, task)
