"""The page of one object for people: its state, calls, alarms, faults and history. No script, nothing to load."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from core.access.errors import NotFound
from gateway.object_calls import key_in
from gateway.objects import Key, Kind
from gateway.problems import documented
from gateway.state import TheGateway, TheTeam
from objects import lifecycle
from objects.registry import show_type

router = APIRouter(tags=["objects"])

STATE_CHARACTERS = 20_000


@cache
def _template() -> Any:
    import jinja2

    folder = Path(__file__).with_name("templates")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("object.html")


@cache
def _style() -> str:
    return Path(__file__).with_name("templates").joinpath("object.css").read_text(encoding="utf-8")


def headers() -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


@router.get(
    "/objects/{type}/{key}/-/page",
    response_class=Response,
    responses={
        200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "The page."},
        **documented(400, 401, 403, 404, 429, 503),
    },
)
@router.get("/web/objects/{type}/{key}", response_class=HTMLResponse, include_in_schema=False)
def object_page(type: Kind, key: Key, gateway: TheGateway, team: TheTeam) -> HTMLResponse:
    """The object for people: state, calls, alarms, faults and history. Below `/web` it is for browsers that signed
    in."""
    with gateway.database.team(team) as connection:
        row = lifecycle.get_object(connection, type, key_in(key))
        state = lifecycle.state_of(connection, type, key)
        try:
            kind = show_type(connection, team, type)
        except NotFound:
            kind = None
        text = _template().render(
            style=_style(),
            row=row,
            kind=kind,
            state=_pretty(state),
            calls=lifecycle.calls_of(connection, type, key),
            faults=lifecycle.faults_of(connection, type, key),
            alarms=lifecycle.alarms_of(connection, type, key),
            history=[(v, code, at, _pretty(s)) for v, code, at, s in lifecycle.history(connection, type, key)],
        )
    return HTMLResponse(text, headers=headers())


def _pretty(state: str | None) -> str:
    if state is None:
        return ""
    text = json.dumps(json.loads(state), indent=2, ensure_ascii=False)
    return text if len(text) <= STATE_CHARACTERS else f"{text[:STATE_CHARACTERS]}\n… {len(text):,} characters"
