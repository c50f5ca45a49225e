"""What a dialect gets and gives back: a request, an answer, a table of routes, and pages of a list."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

from deploy.fake_forge.records import ForgeError, Repository, Token, User
from deploy.fake_forge.state import State

Item = TypeVar("Item")


@dataclass
class Reply:
    """An answer; `body` is sent as JSON, unless it is None or bytes."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Ends a handler with this answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"HTTP {reply.status}")
        self.reply = reply


class BadBody(ForgeError):
    """The body is not what its Content-Type says, or no object."""


class UnknownEndpoint(Exception):
    """The fake has no such endpoint."""


@dataclass
class Call:
    """A request to one dialect. `path` is what follows its prefix, still percent-encoded; `headers` have lower-case
    names; `url` is the forge's own address, without a slash at the end."""

    state: State
    url: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    secret: str = field(default="", repr=False)
    """The credential that came with it; "" if none."""
    token: Token | None = None
    """The credential, if the forge knows it."""

    @property
    def user(self) -> User | None:
        return self.token.user if self.token else None

    @property
    def body(self) -> dict[str, Any]:
        """The fields of a JSON or form body. Raises `BadBody`."""
        if not self.raw:
            return {}
        if "application/x-www-form-urlencoded" in self.headers.get("content-type", ""):
            return dict(parse_qsl(self.raw.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            found = json.loads(self.raw)
        except (ValueError, RecursionError):
            raise BadBody("the body is not JSON") from None
        if not isinstance(found, dict):
            raise BadBody("the body is not a JSON object")
        return found


Handler = Callable[..., Reply]


class Routes:
    """Patterns such as `repos/{owner}/{repo}/branches/{branch...}`: `{x}` is one segment of a path, `{x...}` one or
    more. Segments are decoded one by one, so that `%2F` does not separate. The first match counts."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def __call__(self, method: str, pattern: str) -> Callable[[Handler], Handler]:
        text = re.sub(r"\\\{(\w+)\\\.\\\.\\\.\\\}", r"(?P<\1>.+)", re.escape(pattern))
        text = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", text)

        def added(handler: Handler) -> Handler:
            self._routes.append((method, re.compile(text), handler))
            return handler

        return added

    def answer(self, call: Call) -> Reply:
        """Raises `UnknownEndpoint`, and whatever the handler raises."""
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(call.path.strip("/")) if method == call.method else None
            if found:
                return handler(call, **{name: unquote(value) for name, value in found.groupdict().items()})
        raise UnknownEndpoint(f"{call.method} {call.path}")


@dataclass(frozen=True)
class Page:
    """One page of a list, and what headers tell of it."""

    items: list[Any]
    number: int
    size: int
    total: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total // self.size))

    def link(self, url: str, call: Call, size_name: str) -> dict[str, str]:
        """The header Link (RFC 8288); nothing if there is one page."""
        places = {"prev": self.number - 1, "next": self.number + 1, "last": self.last, "first": 1}
        if self.number == self.last:
            del places["last"]
        if self.number == 1:
            del places["first"]
        links = [
            f"<{url}{quote(call.path, safe='/%')}?"
            f'{urlencode({**call.query, size_name: self.size, "page": page})}>; rel="{name}"'
            for name, page in places.items()
            if 1 <= page <= self.last
        ]
        return {"Link": ", ".join(links)} if links else {}


def page_of(call: Call, items: Sequence[Item], size_name: str, default: int, most: int) -> Page:
    """The page that `page` and the parameter `size_name` ask for; senseless values count as the default."""

    def number(name: str, otherwise: int) -> int:
        text = call.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and int(text[:9]) > 0 else otherwise

    size, page = min(number(size_name, default), most), number("page", 1)
    return Page(list(items[(page - 1) * size : page * size]), page, size, len(items))


def changed_since(call: Call, items: Sequence[Any], name: str) -> list[Any]:
    """The records that were updated at or after the time that the parameter `name` gives."""
    text = call.query.get(name, "")
    try:
        since = datetime.fromisoformat(text) if text else None
    except ValueError:
        since = None
    return [item for item in items if since is None or item.updated >= since]


def owned(call: Call, owner: str) -> list[Repository]:
    """The repositories of an owner that the caller may see."""
    everything = list(call.state.repositories.values())
    return [one for one in everything if one.owner == owner and call.state.may(one, call.user, "read")]


def index(text: str) -> int:
    """A number in a path. Raises `UnknownEndpoint` if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise UnknownEndpoint(f"{text} is no number")
    return int(text)


def strings(value: object) -> list[str]:
    """The strings of a list, or of a text that separates them by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def split_draft(title: str, prefixes: Sequence[str]) -> tuple[str, bool]:
    """A title without the prefix that makes it a draft, and whether it had one."""
    for prefix in prefixes:
        if title.lower().startswith(prefix.lower()):
            return title[len(prefix) :].strip(), True
    return title, False


def clone_url(url: str, repository: Repository) -> str:
    return f"{url}/{repository.full_name}.git"
