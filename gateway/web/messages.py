"""The thread of a task's page for browsers without scripts: its last messages, and a form to add one."""

import json
import uuid
from typing import Any

import psycopg
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from core.payload import clean
from gateway.callers import Caller
from gateway.problems import Refused, bad_field
from gateway.state import Gateway, TheCaller, TheGateway
from gateway.threads import member_of
from gateway.web.cookies import ROOT, check_form
from gateway.web.render import HEADERS
from gateway.web.sign_in import form_of
from threads.model import LARGEST, PROTOCOL, Push
from threads.service import ThreadError
from threads.tasks import ensure_thread, thread_id

router = APIRouter()

SHOWN = 50
MESSAGE_CHARACTERS = 60_000


async def read_messages(gateway: Gateway, caller: Caller, task_id: uuid.UUID) -> list[dict[str, Any]]:
    """The last messages of a task's thread, oldest first; none if there is no thread yet, or it cannot be read now."""
    try:
        text = await gateway.threads.messages(member_of(caller), thread_id(task_id), LARGEST, SHOWN)
    except (ThreadError, psycopg.OperationalError):
        return []
    found: list[dict[str, Any]] = json.loads(text)["messages"]
    return found


@router.post(f"{ROOT}/tasks/{{task_id}}/say")
async def say(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> Response:
    """Adds a message, once however often the form is sent."""
    form = await form_of(request)
    check_form(form.get("form", ""), caller)
    text = clean(form.get("text", "").replace("\r\n", "\n")).strip()
    if not 0 < len(text) <= MESSAGE_CHARACTERS:
        raise bad_field("text", f"must have 1 to {MESSAGE_CHARACTERS} characters")
    try:
        message = str(uuid.UUID(form.get("message", "")))
    except ValueError as error:
        raise bad_field("message", "is not an id: load the page again") from error
    thread = await run_in_threadpool(ensure_thread, gateway.database, caller.team_id, task_id)
    said = {"id": 1, "thread": str(thread), "kind": "append", "message": message, "role": "user", "text": text}
    push = Push.model_validate({"protocol": PROTOCOL, "client": str(uuid.uuid4()), "mutations": [said]})
    [result] = (await gateway.threads.push(member_of(caller), push))["results"]
    if result["status"] == "rejected" and result.get("code") != "exists":
        raise Refused(409, "rejected", f"the message was not accepted: {result.get('message') or result.get('code')}")
    return RedirectResponse(f"{ROOT}/tasks/{task_id}#thread", 303, headers=HEADERS)
