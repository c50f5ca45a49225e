"""A model's answers as JSON, for the journal of an attempt: a resumed attempt pays for none of them twice."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel

from core.chat.protocol import BadAnswer, Completion, FinishReason, MalformedAnswer, Refused, ToolCall, Usage

_MISTAKES: dict[str, type[BadAnswer]] = {kind.__name__: kind for kind in (BadAnswer, Refused, MalformedAnswer)}


@dataclass(frozen=True)
class Answered:
    """What came of one request: an answer, or the mistake that was made instead of one."""

    completion: Completion | None = None
    mistake: BadAnswer | None = None

    @property
    def usage(self) -> Usage:
        if self.completion is not None:
            return self.completion.usage
        return self.mistake.usage if self.mistake is not None else Usage()


def encode(answered: Answered) -> dict[str, Any]:
    raw: dict[str, Any] = {"usage": asdict(answered.usage)}
    if (answer := answered.completion) is not None:
        calls = [[call.id, call.name, dict(call.arguments), call.problem] for call in answer.calls]
        value = answer.value.model_dump(mode="json") if answer.value is not None else None
        raw["answer"] = {"text": answer.text, "calls": calls, "finish": answer.finish, "value": value}
    if (mistake := answered.mistake) is not None:
        raw["mistake"] = {"kind": type(mistake).__name__, "said": str(mistake)}
    return raw


def decode(raw: dict[str, Any], schema: type[BaseModel] | None = None) -> Answered:
    usage = Usage(**raw["usage"])
    if (answer := raw.get("answer")) is not None:
        calls = tuple(ToolCall(*call) for call in answer["calls"])
        value = schema.model_validate(answer["value"]) if schema and answer["value"] is not None else None
        return Answered(Completion(answer["text"], calls, FinishReason(answer["finish"]), usage, value))
    mistake = raw["mistake"]
    return Answered(mistake=_MISTAKES.get(mistake["kind"], BadAnswer)(mistake["said"], usage))
