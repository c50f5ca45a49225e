"""What a tested subject stands for on the platform: the settings that would make new tasks run as it did.

Read from the identity that every result carries, so that what is promoted is what was tested. A synthetic
subject stands for nothing.
"""

import re
from collections.abc import Mapping

_MODEL_BUDGET = re.compile(r"(\d+) steps, (\d+) tokens, ([\d.e+-]+) money")
ENGINES = ("search", "model")
BUDGETS = ("task_seconds", "chat_steps", "chat_tokens", "chat_money")
"""Bounds of an attempt. Evals are often run with tighter ones than tasks get."""


def settings_of(identity: Mapping[str, str]) -> dict[str, str]:
    """Settings by name, as texts (`normal`); empty for a subject that is no part of the platform, or that no settings
    make: tasks are solved with all operators."""
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
    if engine == "model":
        found["chat_model"] = identity["model"].partition("@sha256:")[0]
        prompts = sorted({name.removeprefix("prompt:").split("/")[0] for name in identity if name[:7] == "prompt:"})
        if len(prompts) == 1:
            found["chat_prompts"] = prompts[0]
        if budget := _MODEL_BUDGET.fullmatch(identity.get("budget_model", "")):
            steps, tokens, money = (normal(part) for part in budget.groups())
            found |= {"chat_steps": steps, "chat_tokens": tokens, "chat_money": money}
    return found


def normal(value: object) -> str:
    """A setting's value as a text that is equal for equal values: `60`, `60.0` and 6e1 are one."""
    try:
        return repr(float(str(value))).removesuffix(".0")
    except ValueError:
        return "" if value is None else str(value)
