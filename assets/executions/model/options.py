"""How far the engine `model` may go in one attempt, and with which prompts."""

from dataclasses import dataclass

from core.chat.protocol import Usage


@dataclass(frozen=True)
class ModelOptions:
    """Upper bounds of one attempt, over all sets of target tests; seconds come from the plan's budget. `prompts`
    names a folder of `assets/executions/model/prompts`."""

    steps: int = 40
    """Answers of the model."""
    tokens: int = 400_000
    """Read and written together."""
    money: float = 5.0
    """In the currency of the model's prices."""
    prompts: str = "v1"

    def spent(self, used: Usage, steps: int) -> str | None:
        """Which bound is reached, in words; None while none is."""
        if steps >= self.steps:
            return f"the model's {self.steps} steps are used up"
        if used.tokens >= self.tokens:
            return f"the model's {self.tokens} tokens are used up"
        if used.money >= self.money:
            return f"the model's budget of {self.money:g} in money is used up"
        return None
