"""The event: a CloudEvents 1.0 envelope, which every package writes and reads.

Source of the attributes: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md.
`team_id` is carried as the extension attribute `teamid`, since extension names are lower-case
letters and digits only.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.teams import DEFAULT_TEAM
from core.trace_context import TraceContext, known_parent, known_state

__all__ = [
    "CHANGES",
    "DEAD_LETTERS",
    "DEFAULT_TEAM",
    "OBJECTS",
    "OUTCOMES",
    "RESEARCH",
    "TASKS",
    "TOPICS",
    "Event",
    "task_id",
]

TASK_NAMESPACE = uuid.UUID("6d8f6f5e-3c55-5a0b-9c0a-8f4f8f0f2b11")

TASKS = "penstock.tasks"
CHANGES = "penstock.changes"
OUTCOMES = "penstock.outcomes"
DEAD_LETTERS = "penstock.dead-letters"
OBJECTS = "penstock.objects"
"""What durable objects emit. In PostgreSQL only: a relay does not copy it."""
RESEARCH = "penstock.research"
"""Sub-questions of research, and what became of them."""
TOPICS = (TASKS, CHANGES, OUTCOMES, DEAD_LETTERS, RESEARCH)


class Event(BaseModel):
    """A CloudEvents 1.0 event. `id` is `<source>:<delivery id>`, permanently unique in its team.

    `subject` is what the event is about (for a repository event, the name of the source); events
    with the same subject keep their order through every log.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=512)
    source: str = Field(min_length=1, max_length=512)
    type: str = Field(min_length=1, max_length=256)
    subject: str = Field(min_length=1, max_length=512)
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    datacontenttype: Literal["application/json"] = "application/json"
    teamid: uuid.UUID = DEFAULT_TEAM
    traceparent: str | None = None
    tracestate: str | None = None
    """The trace that the event belongs to (the CloudEvents extension for distributed tracing); absent without one."""
    data: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("traceparent", mode="before")
    @classmethod
    def _parent(cls, value: object) -> str | None:
        return known_parent(value)

    @field_validator("tracestate", mode="before")
    @classmethod
    def _state(cls, value: object) -> str | None:
        return known_state(value)

    @property
    def trace(self) -> TraceContext | None:
        return TraceContext.read(self.traceparent, self.tracestate)

    def traced(self, context: TraceContext | None) -> Self:
        """The event as part of a trace, unless it belongs to one already."""
        if context is None or self.traceparent is not None:
            return self
        return self.model_copy(update={"traceparent": context.parent, "tracestate": context.state})

    def to_json(self) -> bytes:
        """The structured-mode JSON form, UTF-8."""
        absent = {name for name in ("traceparent", "tracestate") if getattr(self, name) is None}
        return self.model_dump_json(exclude=absent).encode()

    @classmethod
    def from_json(cls, raw: bytes | str) -> Self:
        """Reads the structured-mode JSON form. Raises `pydantic.ValidationError` naming each bad field."""
        return cls.model_validate_json(raw)


def task_id(team_id: uuid.UUID, event_id: str) -> uuid.UUID:
    """The id of the task that an event starts: UUIDv5 of the event id, so that it is the same on every delivery.

    The team is part of the name, since two teams may receive the same delivery.
    """
    return uuid.uuid5(TASK_NAMESPACE, f"{team_id}/{event_id}")
