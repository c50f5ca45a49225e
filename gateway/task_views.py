"""What the tasks API shows of tasks."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection
from pydantic import BaseModel, Field

from core.endings import Ending, read_endings
from core.states import PublicationState, TaskState
from core.tasks import Task


class TaskSummary(BaseModel):
    id: uuid.UUID
    source: str
    title: str
    url: str | None
    author: str | None
    state: TaskState
    reason: str | None
    attempt: int
    created_at: datetime
    updated_at: datetime
    publication: PublicationState | None = Field(
        description="What became of the last attempt's patch or report: a resolved task's patch may be refused by its "
        "target. Null while there is none."
    )
    draft: bool = Field(description="Whether its patch is good for a draft only, which a person has to look at.")
    result: str | None = Field(
        description="The same as a sentence: where the patch is or why it is not published, and why it is only a draft."
    )

    @classmethod
    def of(cls, task: Task, ending: Ending | None) -> "TaskSummary":
        told = {
            "publication": ending.publication if ending else None,
            "draft": ending is not None and ending.draft,
            "result": (ending.sentence() or None) if ending else None,
        }
        return cls.model_validate(vars(task) | told)


class TaskPage(BaseModel):
    tasks: list[TaskSummary]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class Stage(BaseModel):
    stage: str
    seconds: float
    at: datetime
    output: dict[str, Any] = Field(description="The stage's output; long lists and texts are cut.")


class VerdictView(BaseModel):
    verdict: str
    patch_sha256: str | None
    at: datetime
    body: dict[str, Any]


class PatchView(BaseModel):
    base_commit: str
    diff: str


class PublicationView(BaseModel):
    target: str
    state: str
    tries: int
    location: str | None
    last_error: str | None
    next_try_at: datetime
    updated_at: datetime


class QuestionView(BaseModel):
    question: str
    asked_at: datetime
    until: datetime = Field(description="Without an answer, the task then ends as unresolved.")
    location: str | None = Field(description="The comment that asks it.")


class AnswerView(BaseModel):
    author: str
    body: str
    url: str | None
    state: str
    outcome: str | None
    attempt: int | None = Field(description="The first attempt that works with it.")
    received_at: datetime


class TaskDetail(TaskSummary):
    body: str
    options: dict[str, Any]
    stages: list[Stage] = Field(description="The current attempt's completed stages.")
    verdict: VerdictView | None
    patch: PatchView | None
    publications: list[PublicationView]
    question: QuestionView | None = Field(description="What the task waits for.")
    answers: list[AnswerView] = Field(description="What people have answered, the newest first; at most 20.")
    actions: int = Field(description="Entries in the current attempt's trajectory.")


def shortened(value: Any, *, items: int = 20, characters: int = 2000, depth: int = 8) -> Any:
    """A JSON value with long lists and texts cut. A cut value ends with its full length; nesting deeper than `depth`
    becomes an ellipsis."""
    if isinstance(value, str):
        return value if len(value) <= characters else f"{value[:characters]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return (
            {key: shortened(item, items=items, characters=characters, depth=depth - 1) for key, item in value.items()}
            if depth
            else "…"
        )
    if isinstance(value, list):
        if not depth:
            return "…"
        kept = [shortened(item, items=items, characters=characters, depth=depth - 1) for item in value[:items]]
        return kept if len(value) <= items else [*kept, f"… ({len(value)} entries)"]
    return value


def summaries(connection: Connection[Any], found: Iterable[Task]) -> list[TaskSummary]:
    """The team's tasks with what became of their results."""
    tasks = list(found)
    endings = read_endings(connection, [task.id for task in tasks])
    return [TaskSummary.of(task, endings.get(task.id)) for task in tasks]


def summary(connection: Connection[Any], task: Task) -> TaskSummary:
    """One task as `summaries` shows it."""
    return summaries(connection, [task])[0]
