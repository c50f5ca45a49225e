"""The cookies of a browser's session, and what keeps other sites' pages from using them.

Both are HttpOnly, SameSite=Strict and sent below `/web` only, so that the API never sees them: the access token with
each request for a page, the refresh token to `/web/session` alone. What changes something must come from a page of ours
in two ways: by its `Origin` (or `Sec-Fetch-Site`), and with the session's form token, in the header `Penstock-Form` or
in the form. Sources: RFC 6265bis (cookies), Fetch Metadata (W3C).
"""

import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from fastapi.responses import RedirectResponse, Response
from starlette.requests import cookie_parser

from core.access.sessions import ACCESS_PERIOD, REFRESH_PERIOD, Issued
from gateway.callers import Caller
from gateway.problems import Refused

if TYPE_CHECKING:
    from starlette.types import Scope

ROOT = "/web"
API = f"{ROOT}/api"
SESSION = f"{ROOT}/session"
SIGN_IN = f"{ROOT}/sign-in"
STATIC = f"{ROOT}/static/"
ACCESS_COOKIE = "penstock_access"
REFRESH_COOKIE = "penstock_refresh"
FORM_HEADER = b"penstock-form"
COOKIE_CHARACTERS = 16_384
"""Of all cookies of a request; the rest is not read."""
_OPEN = frozenset({SIGN_IN, f"{SESSION}/renew", f"{SESSION}/end", f"{ROOT}/worker.js", f"{ROOT}/offline"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def is_web(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")


def is_open(path: str) -> bool:
    """Whether it needs no session: signing in, and scripts and styles, which say nothing of anybody."""
    return path in _OPEN or path.startswith(STATIC)


def api_path(path: str) -> str:
    """The API's path that a script of the pages asks for; any other path stays as it is."""
    return path.removeprefix(API) if path.startswith(f"{API}/") else path


def wants_page(scope: "Scope") -> bool:
    """Whether a person waits for a page, rather than a script for an answer."""
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and is_web(path) and not path.startswith(f"{API}/") and (
        header(scope, b"sec-fetch-mode") in ("", "navigate")
    )  # fmt: skip


def wants_problem_page(scope: "Scope") -> bool:
    """Whether a person sees the answer of a refused request: for a page, or to a form."""
    path = scope["path"]
    shown = is_web(path) and not is_open(path) and not path.startswith(f"{API}/")
    return shown and header(scope, b"sec-fetch-mode") == "navigate"


def to_sign_in(scope: "Scope") -> Response:
    """Sends a browser without a valid access token to where its refresh token is exchanged, and then back."""
    query = scope["query_string"].decode("latin-1")
    return RedirectResponse(f"{SESSION}/renew?next={quote(scope['path'] + (f'?{query}' if query else ''))}", 303)


def safe_place(text: str) -> str:
    """A path of the pages to go to after signing in; the first page for anything else."""
    parts = urlsplit(text)
    good = not parts.scheme and not parts.netloc and is_web(parts.path) and text.isprintable() and "\\" not in text
    return text if good and len(text) <= 2000 and not is_open(parts.path) else ROOT


def access_token(scope: "Scope") -> str | None:
    return _cookie(scope, ACCESS_COOKIE)


def refresh_token(scope: "Scope") -> str | None:
    return _cookie(scope, REFRESH_COOKIE)


def _cookie(scope: "Scope", name: str) -> str | None:
    """The value of a cookie. Other servers of this host name may have set some of any form beside it."""
    text = "; ".join(value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie")
    return cookie_parser(text[:COOKIE_CHARACTERS]).get(name, "")[:200] or None


def give(answer: Response, scope: "Scope", issued: Issued) -> Response:
    """Sets both cookies of a session."""
    secure = scope.get("scheme") == "https" or header(scope, b"x-forwarded-proto") == "https"
    for name, value, path, period in (
        (ACCESS_COOKIE, issued.access, ROOT, ACCESS_PERIOD),
        (REFRESH_COOKIE, issued.refresh, SESSION, REFRESH_PERIOD),
    ):
        answer.set_cookie(
            name,
            value,
            max_age=int(period.total_seconds()),
            path=path,
            secure=secure,
            httponly=True,
            samesite="strict",
        )
    return answer


def take_back(answer: Response) -> Response:
    for name, path in ((ACCESS_COOKIE, ROOT), (REFRESH_COOKIE, SESSION)):
        answer.delete_cookie(name, path=path, httponly=True, samesite="strict")
    return answer


def refuse_forgery(scope: "Scope", caller: Caller) -> None:
    """Raises `Refused` (403) for a change that no page of ours asks for. The body of a form is checked by its route
    (`check_form`)."""
    if scope["method"] in _SAFE:
        return
    require_own_page(scope)
    if scope["path"].startswith(f"{API}/"):
        check_form(header(scope, FORM_HEADER), caller)


def require_own_page(scope: "Scope") -> None:
    """Raises `Refused` (403) unless the request comes from a page of this server."""
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    own = urlsplit(origin).netloc == header(scope, b"host")
    if not (site == "same-origin" and (own or origin in ("", "null")) if site else own):
        raise Refused(403, "cross-site", "this request does not come from a page of Penstock")


def check_form(given: str, caller: Caller) -> None:
    """Raises `Refused` (403) unless it is the session's form token."""
    if not caller.form_token or not hmac.compare_digest(given.encode(), caller.form_token.encode()):
        raise Refused(403, "form", "the page is of another session: load it again")


def header(scope: "Scope", name: bytes) -> str:
    """The header's only value; empty if it is missing or repeated."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else ""
