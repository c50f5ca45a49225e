"""How a person gets in with a browser: by a one-time link of `penstock open`, or with an API token.

A link that a person opens works at once. For anything else that follows links, as previews in chats and mails do, there
is a page with a button, so that they don't use it up. Nothing here is logged but paths, which hold no code.
"""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from core.access import links, sessions
from core.access.audit import Actor, record
from core.access.sessions import Issued
from core.access.tokens import Holder, check_token
from core.credentials import TOKEN_PREFIX
from gateway.callers import REQUEST_KEY, Caller
from gateway.problems import Refused
from gateway.sessions import exchange, limit_sign_in, start_for
from gateway.state import Gateway, TheGateway
from gateway.web import cookies
from gateway.web.render import HEADERS, page

router = APIRouter()

Next = Annotated[str, Query(max_length=4000)]
_WRONG_LINK = "This link was used before or has expired. Run penstock open again."
_WRONG_TOKEN = "This token is unknown, expired or revoked."  # noqa: S105


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of a repeated one the last. Raises `Refused` for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refused(400, "malformed", "send a form")
    body = await request.body()
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=20)
    except ValueError as error:
        raise Refused(400, "malformed", "the form cannot be read") from error
    return {name: values[-1].replace("\x00", "") for name, values in fields.items()}


@router.get(cookies.SIGN_IN)
def show_sign_in(
    request: Request, gateway: TheGateway, code: Annotated[str, Query(max_length=200)] = "", next: Next = ""
) -> Response:
    """Signs in with the link's code if a person has opened it; else a page to do so."""
    place = cookies.safe_place(next)
    if not code:
        return page("sign_in.html", None, code="", person=None, place=place, problem="")
    limit_sign_in(gateway, request)
    with gateway.database.system() as connection:
        person = links.whose_link(connection, code)
    if person is None:
        return page("sign_in.html", None, 401, code="", person=None, place=place, problem=_WRONG_LINK)
    if not _opened_by_person(request):
        return page("sign_in.html", None, code=code, person=person, place=place, problem="")
    return _enter(request, _by_link(gateway, code, request), place, _WRONG_LINK)


def _opened_by_person(request: Request) -> bool:
    """Whether it was typed or opened from another program: not a preview, not a link on some page."""
    said = request.headers
    return (
        said.get("sec-fetch-site") == "none"
        and said.get("sec-fetch-mode") == "navigate"
        and "prefetch" not in said.get("sec-purpose", said.get("purpose", ""))
    )


@router.post(cookies.SIGN_IN)
async def sign_in(request: Request, gateway: TheGateway) -> Response:
    """Signs in with the code of a link or with an API token."""
    cookies.require_own_page(request.scope)
    limit_sign_in(gateway, request)
    form = await form_of(request)
    place = cookies.safe_place(form.get("next", ""))
    if code := form.get("code", "")[:200]:
        return _enter(request, await run_in_threadpool(_by_link, gateway, code, request), place, _WRONG_LINK)
    token = form.get("token", "").strip()[:200]
    return _enter(request, await run_in_threadpool(_by_token, gateway, token, request), place, _WRONG_TOKEN)


def _enter(request: Request, issued: Issued | None, place: str, problem: str) -> Response:
    if issued is None:
        return page("sign_in.html", None, 401, code="", person=None, place=place, problem=problem)
    return cookies.give(RedirectResponse(place, 303, headers=HEADERS), request.scope, issued)


def _by_link(gateway: Gateway, code: str, request: Request) -> Issued | None:
    with gateway.database.system() as connection:
        issued = links.use_link(connection, code)
        if issued is not None:
            actor = Actor("user", issued.person, str(issued.session_id))
            record(
                connection, issued.team_id, actor, "session.start", "browser", request_id=request.scope.get(REQUEST_KEY)
            )
    return issued


def _by_token(gateway: Gateway, token: str, request: Request) -> Issued | None:
    with gateway.database.system() as connection:
        held: Holder | None = check_token(connection, token) if token.startswith(TOKEN_PREFIX) else None
        if held is None:
            return None
        actor = Actor("token", held.name, str(held.token_id), person=held.user)
        issued = start_for(connection, Caller(held.team_id, held.role, actor), "browser")
        record(connection, held.team_id, actor, "session.start", "browser", request_id=request.scope.get(REQUEST_KEY))
    return issued


@router.get(f"{cookies.SESSION}/renew")
def renew(request: Request, gateway: TheGateway, next: Next = "") -> Response:
    """Exchanges the refresh token of the cookie, and goes back to where the browser was."""
    place = cookies.safe_place(next)
    token = cookies.refresh_token(request.scope)
    if token is None:
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Strict cookies are not sent where a link of another site leads; they are from here on.
            return page("bounce.html", None, place=place)
        return RedirectResponse(f"{cookies.SIGN_IN}?next={_quoted(place)}", 303, headers=HEADERS)
    limit_sign_in(gateway, request)
    issued = exchange(gateway, token, request)
    if issued is None:
        answer = RedirectResponse(f"{cookies.SIGN_IN}?next={_quoted(place)}", 303, headers=HEADERS)
        return cookies.take_back(answer)
    return cookies.give(RedirectResponse(place, 303, headers=HEADERS), request.scope, issued)


@router.post(f"{cookies.SESSION}/renew")
def renew_for_script(request: Request, gateway: TheGateway) -> Response:
    """The same for a script of a page that stays open: 204 with new cookies, or 401."""
    cookies.require_own_page(request.scope)
    limit_sign_in(gateway, request)
    token = cookies.refresh_token(request.scope)
    issued = exchange(gateway, token, request) if token is not None else None
    if issued is None:
        raise Refused(401, "refresh", "the session is over: sign in again")
    return cookies.give(Response(status_code=204, headers=HEADERS), request.scope, issued)


@router.post(f"{cookies.SESSION}/end")
def sign_out(request: Request, gateway: TheGateway) -> Response:
    """Ends the browser's session, and has it forget what it keeps of the pages."""
    cookies.require_own_page(request.scope)
    token = cookies.refresh_token(request.scope)
    if token is not None:
        with gateway.database.system() as connection:
            held = sessions.check_access(connection, token, "refresh")
            if held is not None:
                sessions.end(connection, held.session_id)
                actor = Actor("user", held.person, str(held.session_id))
                record(connection, held.team_id, actor, "session.end", held.session_id)
    answer = RedirectResponse(cookies.SIGN_IN, 303, headers={**HEADERS, "Clear-Site-Data": '"cache", "storage"'})
    return cookies.take_back(answer)


def _quoted(place: str) -> str:
    from urllib.parse import quote

    return quote(place)
