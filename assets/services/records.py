"""What the assets of a service leave for each other."""

from typing import Any

from pydantic import Field

from core.work import Record


class ServiceDraft(Record):
    """The code that an attempt hands in; without code, `question` is what is needed to go on. `origin` says who wrote
    it."""

    name: str
    wish: str
    source: str = ""
    manifest: dict[str, Any] = Field(default_factory=dict)
    scenarios: list[Any] = Field(default_factory=list)
    origin: str = ""
    question: str = ""
