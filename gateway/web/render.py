"""Renders the pages, with a policy under which only our own scripts and styles run.

All text from data is hostile and escaped by the templates.
"""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse

from gateway.callers import Caller
from gateway.problems import Refused
from gateway.web.cookies import ROOT, SESSION, SIGN_IN
from gateway.web.files import files
from threads.ids import uuid7

if TYPE_CHECKING:
    import jinja2
    import markupsafe

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Vary": "Cookie",
}


@cache
def _templates() -> "jinja2.Environment":
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        ago=ago, clock=clock, moment=moment, seconds=seconds, plural=plural, capitalize_first=capitalised, ticks=ticks
    )
    found.globals.update(
        file=lambda name: files().place(name), fresh_id=uuid7, root=ROOT, session=SESSION, sign_in=SIGN_IN
    )
    return found


def page(name: str, caller: Caller | None, status: int = 200, **values: Any) -> HTMLResponse:
    """The page of a template. `caller` is None on the pages for signing in."""
    text = _templates().get_template(name).render(me=caller, now=datetime.now(UTC), **values)
    return HTMLResponse(text, status, headers=HEADERS)


def problem(refused: Refused) -> HTMLResponse:
    """A refusal as a page."""
    title = _TITLES.get(refused.status_code, "This did not work")
    text = str(refused.detail)
    answer = page("problem.html", None, refused.status_code, number=refused.status_code, title=title, message=text)
    for name, value in (refused.headers or {}).items():
        answer.headers[name] = value
    return answer


_TITLES = {
    401: "Your session is over: sign in, and do it again",
    403: "Your role does not allow this",
    404: "There is nothing here",
    409: "Its state does not allow this now",
    429: "Too many requests",
    503: "Penstock cannot answer now",
}


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in one unit; a date for more than four weeks."""
    past = (now - at).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if past >= size:
            count = int(past // size)
            return f"{at:%-d %b %Y}" if unit == "d" and count > 28 else f"{count} {unit} ago"
    return "just now"


def clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"


def moment(at: datetime) -> str:
    """Date and time, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def seconds(length: float) -> str:
    if length < 10:
        return f"{length:.1f} s"
    if length < 120:
        return f"{length:.0f} s"
    return f"{length / 60:.0f} min" if length < 7200 else f"{length / 3600:.1f} h"


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def ticks(text: str) -> "markupsafe.Markup":
    """Escaped text in which what stands between backticks is shown as code, and addresses as links."""
    from markupsafe import Markup, escape

    parts = re.split(r"`([^`\n]{1,200})`|(https?://[^\s<>\"'`]{0,2000}[^\s<>\"'`.,;:)])", text)
    made = Markup("")
    for place in range(0, len(parts), 3):
        made += escape(parts[place])
        if place + 1 < len(parts) and parts[place + 1] is not None:
            made += Markup("<code>{}</code>").format(parts[place + 1])
        elif place + 2 < len(parts) and parts[place + 2] is not None:
            made += Markup('<a href="{0}" rel="nofollow noopener noreferrer">{0}</a>').format(parts[place + 2])
    return made


def capitalised(text: str) -> str:
    """The text with a capital letter first, and otherwise as it is."""
    return text[:1].upper() + text[1:]
