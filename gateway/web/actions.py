"""What the forms of the pages do: answer, approve, cancel and retry a task. They work without scripts, and go back to
the task."""

import uuid
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from psycopg import Connection
from starlette.concurrency import run_in_threadpool

from core import tasks
from core.answers import ANSWER_CHARACTERS
from core.approvals import approve
from core.payload import clean
from core.questions import answer as answer_question
from gateway.callers import Caller, acting
from gateway.problems import bad_field
from gateway.state import Gateway, TheCaller, TheGateway
from gateway.web.cookies import ROOT, check_form
from gateway.web.render import HEADERS
from gateway.web.sign_in import form_of

router = APIRouter()

Move = Callable[[Connection[Any]], object]


async def _move(
    name: str, task_id: uuid.UUID, request: Request, gateway: Gateway, caller: Caller, move: Move
) -> Response:
    def moved() -> None:
        with acting(gateway.database, request, caller, f"task.{name}", task_id) as connection:
            move(connection)

    await run_in_threadpool(moved)
    return RedirectResponse(f"{ROOT}/tasks/{task_id}", 303, headers=HEADERS)


async def _checked(request: Request, caller: Caller) -> dict[str, str]:
    form = await form_of(request)
    check_form(form.get("form", ""), caller)
    return form


@router.post(f"{ROOT}/tasks/{{task_id}}/cancel")
async def cancel(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> Response:
    await _checked(request, caller)
    return await _move(
        *("cancel", task_id, request, gateway, caller),
        lambda connection: tasks.cancel(connection, gateway.log, task_id, f"cancelled by {caller.name}"),
    )


@router.post(f"{ROOT}/tasks/{{task_id}}/retry")
async def retry(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> Response:
    await _checked(request, caller)
    return await _move(
        *("retry", task_id, request, gateway, caller),
        lambda connection: tasks.retry(connection, gateway.log, task_id),
    )


@router.post(f"{ROOT}/tasks/{{task_id}}/approve")
async def approve_task(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> Response:
    await _checked(request, caller)

    def approved(connection: Connection[Any]) -> None:
        tasks.get_task(connection, task_id)
        approve(connection, task_id, caller.name)

    return await _move("approve", task_id, request, gateway, caller, approved)


@router.post(f"{ROOT}/tasks/{{task_id}}/answer")
async def answer(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> Response:
    said = clean((await _checked(request, caller)).get("answer", "").replace("\r\n", "\n")).strip()
    if not 0 < len(said) <= ANSWER_CHARACTERS:
        raise bad_field("answer", f"must have 1 to {ANSWER_CHARACTERS} characters")
    return await _move(
        *("answer", task_id, request, gateway, caller),
        lambda connection: answer_question(connection, gateway.log, task_id, caller.name, said),
    )
