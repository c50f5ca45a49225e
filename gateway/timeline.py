"""What happened in a task's attempt, step by step."""

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from core import tasks
from core.timeline import latest_plan, read_timeline
from core.work import Plan
from gateway.problems import documented
from gateway.state import TheGateway, TheTeam

router = APIRouter(tags=["tasks"])


class MomentView(BaseModel):
    at: datetime
    seq: int = Field(description="Number in the trajectory; of a revision, that of the observation that caused it.")
    kind: str
    text: str
    details: list[str]
    revision: int | None = Field(description="The revision of the plan, if the moment is one.")


class Timeline(BaseModel):
    attempt: int
    plan: Plan | None = Field(description="The latest revision of the plan.")
    moments: list[MomentView]


@router.get("/tasks/{task_id}/timeline", responses=documented(400, 401, 403, 404, 429, 503))
def show_timeline(
    task_id: uuid.UUID,
    gateway: TheGateway,
    team: TheTeam,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The latest one by default.")] = None,
) -> Timeline:
    """What happened in an attempt, in order: actions, observations, and the revisions of its plan."""
    with gateway.database.team(team) as connection:
        task = tasks.get_task(connection, task_id)
        chosen = attempt or task.attempt
        if chosen > task.attempt:
            raise tasks.TaskNotFound(f"task {task_id} has no attempt {chosen}: the latest is {task.attempt}")
        moments = read_timeline(connection, task_id, chosen)
        plan = latest_plan(connection, task_id, chosen)
    views = [MomentView.model_validate(moment, from_attributes=True) for moment in moments]
    return Timeline(attempt=chosen, plan=plan, moments=views)
