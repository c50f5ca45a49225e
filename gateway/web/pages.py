"""The pages for reading: a team's tasks, and one task."""

import uuid
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request, Response
from psycopg import Connection
from starlette.concurrency import run_in_threadpool

from core import tasks
from core.access.roles import Role
from core.payload import clean
from core.states import TaskState
from gateway.callers import Caller
from gateway.paging import read_cursor, write_cursor
from gateway.state import Gateway, TheCaller, TheGateway
from gateway.task_views import summaries
from gateway.web.cookies import ROOT
from gateway.web.messages import read_messages
from gateway.web.render import page
from gateway.web.story import read_story, tally

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

router = APIRouter()

PAGE = 50
MOST_SOURCES = 200
MARKDOWN_CHARACTERS = 60_000
"""Of a longer text there is no formatted view."""
FOR_PERSON = "needs-you"


@router.get(ROOT)
def show_tasks(
    request: Request,
    gateway: TheGateway,
    caller: TheCaller,
    state: Annotated[str, Query(max_length=20)] = "",
    source: Annotated[str, Query(max_length=200)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The team's tasks, newest first. An unknown state shows all."""
    chosen = state if state in {FOR_PERSON, *TaskState} else ""
    source, words = clean(source), clean(q).strip()
    with gateway.database.team(caller.team_id) as connection:
        found = tasks.list_tasks(
            connection,
            state=TaskState(chosen) if chosen and chosen != FOR_PERSON else None,
            for_person=chosen == FOR_PERSON,
            source=source or None,
            text=words or None,
            limit=PAGE + 1,
            before=read_cursor(cursor) if cursor else None,
        )
        shown = summaries(connection, found[:PAGE])
        counts = _counts(connection)
        rows = connection.execute(
            "SELECT DISTINCT source FROM tasks ORDER BY source LIMIT %s", (MOST_SOURCES,)
        ).fetchall()
        team = _team_name(connection, caller)
    kept = {name: value for name, value in (("state", chosen), ("source", source), ("q", words)) if value}
    following = (
        urlencode({**kept, "cursor": write_cursor(found[PAGE - 1].created_at, found[PAGE - 1].id)})
        if len(found) > PAGE
        else ""
    )
    return page(
        "tasks.html",
        caller,
        team=team,
        tasks=shown,
        counts=counts,
        total=sum(count for name, count in counts.items() if name != FOR_PERSON),
        state=chosen,
        source=source,
        q=words,
        sources=[str(name) for (name,) in rows],
        tabs=[("", "All"), (FOR_PERSON, "Needs you"), *((str(one), str(one).capitalize()) for one in TaskState)],
        link=lambda wanted: "?" + urlencode({**{k: v for k, v in kept.items() if k != "state"}, "state": wanted}),
        next=following,
        later=bool(cursor),
    )


def _counts(connection: Connection[Any]) -> dict[str, int]:
    counts = dict(connection.execute("SELECT state, count(*) FROM tasks GROUP BY state").fetchall())
    return {**{str(name): int(count) for name, count in counts.items()}, FOR_PERSON: tasks.count_for_person(connection)}


def _team_name(connection: Connection[Any], caller: Caller) -> str:
    row = connection.execute("SELECT name FROM teams WHERE id = %s", (caller.team_id,)).fetchone()
    return str(row[0]) if row else ""


@router.get(f"{ROOT}/tasks/{{task_id}}")
async def show_task(
    task_id: uuid.UUID,
    gateway: TheGateway,
    caller: TheCaller,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    refreshed: Annotated[str | None, Header(alias="Penstock-Refresh")] = None,
) -> Response:
    """One task: the story of its latest attempt, or of the one that is asked for. A page that brings itself up to date
    has scripts, and with them its thread."""
    said = await read_messages(gateway, caller, task_id) if refreshed is None else []
    return await run_in_threadpool(_task_page, gateway, caller, task_id, attempt, said)


def _task_page(
    gateway: Gateway, caller: Caller, task_id: uuid.UUID, attempt: int | None, said: list[dict[str, Any]]
) -> Response:
    with gateway.database.team(caller.team_id) as connection:
        story = read_story(connection, task_id, attempt)
        team = _team_name(connection, caller)
    evidence = story.execution.evidence if story.execution else None
    return page(
        "task.html",
        caller,
        team=team,
        story=story,
        task=story.task,
        body=formatted(story.task.body),
        request=uuid.uuid5(task_id, "request"),  # as `threads.tasks` names the message that the issue is
        messages=said,
        may_act=caller.role.allows(Role.OPERATOR),
        before=tally(evidence.before if evidence else None),
        after=tally(evidence.after if evidence else None),
    )


@router.get(f"{ROOT}/offline")
def show_offline() -> Response:
    """What the service worker shows instead of a page that it has no copy of."""
    return page("offline.html", None)


def formatted(text: str) -> str | None:
    """Markdown as HTML that holds no tags, images or scripts of the text's own; None for a text that is too long."""
    return str(_markdown().render(text)) if len(text) <= MARKDOWN_CHARACTERS else None


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    found = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])
    found.disable("image")

    def opened(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        tokens[index].attrSet("rel", "nofollow noopener noreferrer")
        return str(self.renderToken(tokens, index, options, env))

    found.add_render_rule("link_open", opened)
    return found
