"""A model's answers as JSON, for the journal of an attempt: a resumed attempt pays for none of them twice."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel

from core.chat.protocol import (
    BadAnswer,
    ChatUnavailable,
    Completion,
    FinishReason,
    MalformedAnswer,
    OverBudget,
    Refused,
    ToolCall,
    Usage,
)

Mistake = BadAnswer | ChatUnavailable | OverBudget
_MISTAKES: dict[str, type[BadAnswer] | type[ChatUnavailable]] = {
    one.__name__: one for one in (BadAnswer, Refused, MalformedAnswer, ChatUnavailable)
}


@dataclass(frozen=True)
class Answered:
    """What came of one request: an answer, or why there is none. `late`: the time was over meanwhile."""

    completion: Completion | None = None
    mistake: Mistake | None = None
    late: bool = False

    @property
    def usage(self) -> Usage:
        if self.completion is not None:
            return self.completion.usage
        return self.mistake.usage if isinstance(self.mistake, BadAnswer | ChatUnavailable) else Usage()


def encode(answered: Answered) -> dict[str, Any]:
    raw: dict[str, Any] = {"usage": asdict(answered.usage), "late": answered.late}
    if (answer := answered.completion) is not None:
        calls = [[call.id, call.name, dict(call.arguments), call.problem] for call in answer.calls]
        raw["answer"] = {"text": answer.text, "calls": calls, "finish": answer.finish}
        if answer.value is not None:
            raw["answer"]["value"] = answer.value.model_dump(mode="json")
    if (mistake := answered.mistake) is not None:
        bound = mistake.bound if isinstance(mistake, OverBudget) else ""
        raw["mistake"] = {"kind": type(mistake).__name__, "said": str(mistake), "bound": bound}
    return raw


def decode(raw: dict[str, Any], schema: type[BaseModel] | None = None) -> Answered:
    """Raises `ValueError` and `LookupError` for what cannot be read."""
    usage = Usage(**raw["usage"])
    if (answer := raw.get("answer")) is not None:
        calls = tuple(ToolCall(*call) for call in answer["calls"])
        value = schema.model_validate(answer["value"]) if schema is not None and "value" in answer else None
        return Answered(Completion(answer["text"], calls, FinishReason(answer["finish"]), usage, value))
    mistake = raw["mistake"]
    if mistake["kind"] == OverBudget.__name__:
        return Answered(mistake=OverBudget(mistake["said"], mistake["bound"]))
    return Answered(mistake=_MISTAKES[mistake["kind"]](mistake["said"], usage), late=raw["late"])
