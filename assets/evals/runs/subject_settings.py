"""The platform settings that a tested subject represents: those with which new tasks run as the subject did.

They come from the identity stored with every result, so that what is promoted is what was tested. A synthetic subject
represents no settings.
"""

import re
from collections.abc import Mapping

_MODEL_BUDGET = re.compile(r"(\d+) steps, (\d+) tokens, ([\d.e+-]+) money")
ENGINES = ("search", "model", "hybrid")
BUDGETS = ("task_seconds", "chat_steps", "chat_tokens", "chat_money")
"""Limits of an attempt. Evals often run with tighter limits than tasks."""


def settings_of(identity: Mapping[str, str]) -> dict[str, str]:
    """Setting names with their values in `normal` form. Empty for a subject that no settings can reproduce: one that is
    not part of the platform, or one that uses only some edit operators, since tasks use all."""
    found: dict[str, str] = {}
    if "operators" in identity:
        return found
    engine = identity.get("engine", "")
    if engine in ENGINES:
        found["engine"] = engine
        if "budget_seconds" in identity:
            found["task_seconds"] = normal(identity["budget_seconds"])
    if (engine in ENGINES or engine == "retrieval") and "embedding_model" in identity:
        found["embedding_model"] = identity["embedding_model"]
    if engine in ("model", "hybrid") and "model" in identity:
        found["chat_model"] = identity["model"].partition("@sha256:")[0]
        named = {name.removeprefix("prompt:").split("/")[0] for name in identity if name[:7] == "prompt:"}
        prompts = sorted(named - {"hybrid"})
        if len(prompts) == 1:
            found["chat_prompts"] = prompts[0]
        if budget := _MODEL_BUDGET.fullmatch(identity.get("budget_model", "")):
            steps, tokens, money = (normal(part) for part in budget.groups())
            found |= {"chat_steps": steps, "chat_tokens": tokens, "chat_money": money}
        if "samples" in identity:
            found["chat_samples"] = normal(identity["samples"])
    return found


def normal(value: object) -> str:
    """A setting's value as text, equal for equal values: `60`, `60.0` and `6e1` all give `60`."""
    try:
        return repr(float(str(value))).removesuffix(".0")
    except ValueError:
        return "" if value is None else str(value)
