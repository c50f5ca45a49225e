"""The tasks API: create, list, show, cancel, retry, answer and approve tasks. Every route acts within the caller's
team."""

import hashlib
import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core import tasks
from core.access.audit import record
from core.answers import ANSWER_CHARACTERS
from core.approvals import approve
from core.backlog import Overloaded
from core.intake import Delivery, Target, TaskIntent, UnknownSource, receive
from core.payload import clean, cut_title, web_address
from core.questions import answer as answer_question
from core.questions import find_question, list_answers
from core.states import TaskState
from core.tickets import BODY_BYTES, TITLE_CHARACTERS
from gateway.callers import REQUEST_KEY, acting
from gateway.deliveries import IDENTITY, DeliveryAnswer, answer, header
from gateway.paging import read_cursor, write_cursor
from gateway.problems import Refused, bad_field, documented, overloaded
from gateway.state import TheCaller, TheGateway, TheTeam
from gateway.task_views import TaskDetail, TaskPage, TaskSummary, shortened, summaries, summary

router = APIRouter(tags=["tasks"])

WEB_ADDRESS = r"^https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+$"


def _storable(text: str) -> str:
    if clean(text) != text:
        raise ValueError("must not contain NUL characters or lone surrogates")
    return text


def _body_size(text: str) -> str:
    if len(text.encode()) > BODY_BYTES:
        raise ValueError(f"must be at most {BODY_BYTES} bytes of UTF-8")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _address(text: str) -> str:
    _storable(text)
    if web_address(text) is None:
        raise ValueError("must be an http or https address of at most 2000 characters")
    return text


Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})]
Address = Annotated[
    Text, AfterValidator(_address), Field(json_schema_extra={"pattern": WEB_ADDRESS, "maxLength": 2000})
]


class TaskOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    test: Annotated[Text, Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="The repository's test command."
    )
    engine: Literal["search", "model", "hybrid", "auto"] | None = Field(
        default=None, description="The engine that proposes changes."
    )
    corpora: list[Annotated[Text, Field(min_length=1, max_length=200)]] | None = Field(
        default=None,
        max_length=10,
        description="What a research task searches: names of configured folders and sources; by default its source.",
    )
    budget_seconds: float | None = Field(default=None, gt=0, le=86_400, allow_inf_nan=False)


class TaskRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["change", "research", "service"] = Field(
        default="change",
        description="`research` answers a question, which is the title with the body, by a report. `service` makes a "
        "type of durable objects, or a new version of one; the body may bring its code in fenced blocks.",
    )
    source: Annotated[Text, Field(min_length=1, max_length=200)] = Field(description="Name of a configured source.")
    title: Annotated[Text, Field(min_length=1, max_length=TITLE_CHARACTERS)]
    body: Annotated[Text, AfterValidator(_body_size)] = ""
    url: Address | None = None
    options: TaskOptions = TaskOptions()


class AnswerRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answer: Annotated[
        Text,
        AfterValidator(_not_blank),
        Field(max_length=ANSWER_CHARACTERS, json_schema_extra={"pattern": r"^[^\u0000]*[^\u0000\s][^\u0000]*$"}),
    ]


@router.post(
    "/tasks",
    status_code=202,
    response_model_exclude_none=True,
    responses={
        200: {"model": DeliveryAnswer, "description": "This idempotency key was used before; nothing was changed."},
        202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "The task's path."}}},
        **documented(400, 401, 403, 404, 408, 413, 422, 429, 503),
    },
)
def request_task(
    wanted: TaskRequest,
    request: Request,
    response: Response,
    gateway: TheGateway,
    caller: TheCaller,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Repeating a request with the same key and body changes nothing.",
            json_schema_extra={"pattern": f"^{IDENTITY}$"},
        ),
    ] = None,
) -> DeliveryAnswer:
    """Creates a task for a configured source. The answer is sent once the task is stored."""
    identity = uuid.uuid4().hex if idempotency_key is None else header(request.headers, "Idempotency-Key")
    digest = hashlib.sha256(wanted.model_dump_json().encode()).digest()
    intent = TaskIntent(
        target=Target(name=wanted.source),
        title=cut_title(wanted.title, TITLE_CHARACTERS),
        body=wanted.body,
        url=wanted.url,
        options=wanted.options.model_dump(exclude_none=True)
        | ({"kind": wanted.kind} if wanted.kind != "change" else {}),
    )
    try:
        with gateway.database.team(caller.team_id) as connection:
            receipt = receive(
                connection,
                gateway.log,
                caller.team_id,
                Delivery("api", identity, "task.requested", digest),
                intent,
                must_know_source=True,
                backlog=gateway.settings.backlog,
            )
            if receipt.duplicate and not receipt.same_body:
                raise Refused(
                    422, "key-reused", "this Idempotency-Key was used with another body", field="Idempotency-Key"
                )
            if not receipt.duplicate:
                request_id = request.scope.get(REQUEST_KEY)
                record(connection, caller.team_id, caller.actor, "task.create", receipt.task_id, request_id=request_id)
    except Overloaded as error:
        raise overloaded(error) from error
    except UnknownSource as error:
        raise Refused(404, "unknown-source", f"{error}: add it with `penstock index add`", field="source") from error
    response.headers["Location"] = f"/tasks/{receipt.task_id}"
    return answer(gateway, request, response, receipt, "api")


@router.get("/tasks", responses=documented(400, 401, 403, 429, 503))
def list_tasks(
    gateway: TheGateway,
    team: TheTeam,
    state: TaskState | None = None,
    source: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the previous page.")] = None,
) -> TaskPage:
    """The team's tasks, newest first."""
    before = read_cursor(cursor) if cursor is not None else None
    if source is not None and clean(source) != source:
        raise bad_field("source", "must not contain NUL characters")
    with gateway.database.team(team) as connection:
        found = tasks.list_tasks(connection, state=state, source=source, limit=limit + 1, before=before)
        page = found[:limit]
        shown = summaries(connection, page)
    return TaskPage(tasks=shown, next=write_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None)


@router.get("/tasks/{task_id}", responses=documented(400, 401, 403, 404, 429, 503))
def show_task(task_id: uuid.UUID, gateway: TheGateway, team: TheTeam) -> TaskDetail:
    """One task, with the results of its current attempt so far."""
    with gateway.database.team(team) as connection:
        found = tasks.details(connection, task_id)
        task = found["task"]
        asked, said = find_question(connection, task), list_answers(connection, task_id)
        brief = summary(connection, task)
    return TaskDetail.model_validate(
        {
            **brief.model_dump(),
            "body": task.body,
            "options": dict(task.options),
            "stages": [{**stage, "output": shortened(stage["body"])} for stage in found["stages"]],
            **{key: found[key] for key in ("verdict", "patch", "publications", "actions")},
            "question": vars(asked) if asked else None,
            "answers": [vars(one) for one in said],
        }
    )


MOVES = documented(400, 401, 403, 404, 409, 429, 503)


@router.post("/tasks/{task_id}/cancel", responses=MOVES)
def cancel_task(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> TaskSummary:
    """Cancels an open task. Cancelling a cancelled task changes nothing."""
    with acting(gateway.database, request, caller, "task.cancel", task_id) as connection:
        return summary(connection, tasks.cancel(connection, gateway.log, task_id, "cancelled through the API"))


@router.post("/tasks/{task_id}/retry", status_code=202, responses=MOVES)
def retry_task(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> TaskSummary:
    """Starts the next attempt at a task that is unresolved, failed or cancelled, or waits for an answer."""
    with acting(gateway.database, request, caller, "task.retry", task_id) as connection:
        return summary(connection, tasks.retry(connection, gateway.log, task_id))


@router.post(
    "/tasks/{task_id}/answer",
    status_code=202,
    responses=documented(400, 401, 403, 404, 408, 409, 413, 429, 503),
)
def answer_task(
    task_id: uuid.UUID, said: AnswerRequest, request: Request, gateway: TheGateway, caller: TheCaller
) -> TaskSummary:
    """Answers the question that a task waits for: its next attempt works with the answer. What is said while an attempt
    runs reaches that attempt, as an observation. Repeating an answer changes nothing."""
    with acting(gateway.database, request, caller, "task.answer", task_id) as connection:
        return summary(connection, answer_question(connection, gateway.log, task_id, caller.name, said.answer))


@router.post("/tasks/{task_id}/approve", status_code=202, responses=MOVES)
def approve_task(task_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> TaskSummary:
    """Publishes a patch that waits for a person's approval."""
    with acting(gateway.database, request, caller, "task.approve", task_id) as connection:
        task = tasks.get_task(connection, task_id)
        approve(connection, task_id, caller.name)
        return summary(connection, task)
