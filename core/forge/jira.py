"""Jira Cloud and Data Center as a tracker, by REST API version 2.

Cloud: https://developer.atlassian.com/cloud/jira/platform/rest/v2/. Data Center:
https://developer.atlassian.com/server/jira/platform/rest/. They differ in how accounts are named, and in how one asks
what somebody else may do; see `core.forge.jira_people`. A comment's mark is an entity property of it.
"""

import hashlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from pydantic import Field

from core.commands import OWN_SIGN
from core.forge.host import MOST_COMMENTS, PAGE, PAUSES, READ, WRITE, absent_is_no, translated
from core.forge.jira_people import Account, People
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import Action, Said, shortened
from core.forge.wiki import wiki_of
from core.http import Limits, Service
from core.payload import Count, Flag, Objects, Payload, Text, parse
from core.tickets.jira import authorization

PROPERTY = "penstock"
MOST_BODY = 32_767
"""The longest text of a comment of Cloud, and by default of Data Center, in characters of wiki markup."""
_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,99}-[1-9]\d{0,11}")
_WRITE_EMPTY = replace(WRITE, json=False)
_NEEDED = ("BROWSE_PROJECTS", "ADD_COMMENTS", "EDIT_OWN_COMMENTS", "LINK_ISSUES", "TRANSITION_ISSUES")
_ASKING = ("ADMINISTER_PROJECTS", "ADMINISTER")


class _Property(Payload):
    key: Text = ""
    value: Any = None


class _Comment(Payload):
    id: Text
    body: Any = None
    author: Account | None = None
    properties: list[_Property] | None = None


class _Comments(Payload):
    comments: Objects
    total: Count | None = None


class _Named(Payload):
    name: Text


class _Fields(Payload):
    status: _Named


class _Issue(Payload):
    fields: _Fields


class _Transition(Payload):
    id: Text
    to: _Named


class _Transitions(Payload):
    transitions: Objects


class _Permission(Payload):
    have: Flag = Field(default=False, alias="havePermission")


class _Permissions(Payload):
    permissions: dict[str, _Permission]


@dataclass(frozen=True)
class _Held(Said):
    """A comment as it was read, so that one that says the same is not written again."""

    body: str = ""


class JiraTracker:
    """One project. `token` is asked for each request: `user@example.org:TOKEN` for Cloud, else a personal one."""

    most_characters = 20_000

    def __init__(self, address: str, project: str, token: Callable[[], str], *, setting: str) -> None:
        self.target = f"jira:{project}"
        self._address = address.rstrip("/")
        self._project = project
        self._service = Service(
            address, headers=lambda: {"Authorization": authorization(token())}, pauses=PAUSES, environment_proxies=True
        )
        self._remedy = (
            f"set {setting} to a token of an account that may comment, link and transition issues of {project} and "
            "has its project permission Administer Projects, without which Jira does not say what others may do"
        )
        self._people = People(self._call, address, project)

    def check(self) -> None:
        with self._translated():
            self._call("GET", f"/project/{quote(self._project)}")
            self._people.own()
            keys = ",".join((*_NEEDED, *_ASKING))
            answer = self._call("GET", f"/mypermissions?projectKey={quote(self._project)}&permissions={keys}")
            held = parse(_Permissions, answer, "permissions").permissions
        lacking = [key for key in _NEEDED if key in held and not held[key].have]
        if not any(held[key].have for key in _ASKING if key in held):
            lacking.append(_ASKING[0])
        if lacking:
            raise ForgeUnavailable(f"the token lacks {', '.join(lacking)} in project {self._project}: {self._remedy}")

    def may_write(self, login: str, user_id: str | None, ticket: str | None) -> bool:
        if user_id is None:
            return False
        with self._translated():
            return self._people.may_edit(user_id, self._checked(ticket) if ticket else None)

    def find(self, ticket: str, mark: str) -> Said | None:
        at, start = f"{self._issue(ticket)}/comment", 0
        with self._translated():
            own = self._people.own().id
            while start < MOST_COMMENTS:
                query = f"startAt={start}&maxResults={PAGE}&orderBy=created&expand=properties"
                page = parse(_Comments, self._call("GET", f"{at}?{query}"), "comments")
                for item in page.comments:
                    found = parse(_Comment, item, "comment")
                    if found.author and found.author.id == own and mark in self._marks(found):
                        return self._said(ticket, found)
                start += len(page.comments)
                if not page.comments or start >= (page.total or 0):
                    break
        return None

    def write(self, ticket: str, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        with self._translated():
            made = self._call("POST", f"{self._issue(ticket)}/comment", _new(mark, shown(text)))
            return self._said(ticket, parse(_Comment, made, "comment"))

    def edit(self, ticket: str, said: Said, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        body = shown(text)
        if isinstance(said, _Held) and said.body.replace("\r\n", "\n").strip() == body.strip():
            return said
        with self._translated():
            quietly = "?notifyUsers=false" if self._people.cloud() else ""
            path = f"{self._issue(ticket)}/comment/{quote(said.id, safe='')}{quietly}"
            return self._said(ticket, parse(_Comment, self._call("PUT", path, _new(mark, body)), "comment"))

    def link(self, ticket: str, url: str, title: str) -> None:
        identity = f"penstock:{hashlib.sha256(url.encode()).hexdigest()}"  # a link with the same one is replaced
        with self._translated():
            link = {"globalId": identity, "object": {"url": url, "title": title[:255]}}
            self._call("POST", f"{self._issue(ticket)}/remotelink", link)

    def status(self, ticket: str) -> str | None:
        with self._translated():
            answer = self._call("GET", f"{self._issue(ticket)}?fields=status")
            return parse(_Issue, answer, "issue").fields.status.name

    def move(self, ticket: str, status: str) -> bool:
        at = f"{self._issue(ticket)}/transitions"
        with self._translated():
            items = parse(_Transitions, self._call("GET", at), "transitions").transitions
            ways = [parse(_Transition, item, "transition") for item in items]
            way = next((one for one in ways if one.to.name.casefold() == status.casefold()), None)
            if way is not None:
                self._call("POST", at, {"transition": {"id": way.id}}, limits=_WRITE_EMPTY)
        return way is not None

    def _marks(self, comment: _Comment) -> list[Any]:
        """The marks of a comment; an edition that does not expand properties is asked for the one."""
        held = comment.properties
        if held is None:
            held = []
            with absent_is_no():
                path = f"/comment/{quote(comment.id, safe='')}/properties/{PROPERTY}"
                held = [parse(_Property, self._call("GET", path), "property")]
        return [one.value.get("mark") for one in held if one.key == PROPERTY and isinstance(one.value, dict)]

    def _said(self, ticket: str, comment: _Comment) -> Said:
        url = f"{self._address}/browse/{ticket}?focusedCommentId={comment.id}#comment-{comment.id}"
        return _Held(comment.id, url, None, comment.body if isinstance(comment.body, str) else "")

    def _issue(self, ticket: str) -> str:
        return f"/issue/{self._checked(ticket)}"

    def _checked(self, ticket: str) -> str:
        """A key of this project. Raises `PublicationRefused`."""
        if not _KEY.fullmatch(ticket) or ticket.rpartition("-")[0] != self._project:
            raise PublicationRefused(f"{ticket[:40]!r} is not the key of an issue of {self._project}")
        return ticket

    def _call(self, method: str, path: str, body: Any = None, *, limits: Limits | None = None) -> Any:
        limits = limits or (READ if method == "GET" else WRITE)
        answer = self._service.answer(method, f"/rest/api/2{path}", body, limits=limits)
        return answer.extensions.get("json")

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._service.base, self._remedy, lambda refusal: False)


def shown(text: str) -> str:
    """The body of a comment: wiki markup, with the sign that it is Penstock's own."""
    most = MOST_BODY - len(OWN_SIGN)
    while len(made := wiki_of(text)) > most:  # what is escaped takes more room than before
        text = shortened(text, min(len(text) - 1, len(text) * most // len(made)))
    return made + OWN_SIGN


def _new(mark: str, body: str) -> dict[str, Any]:
    return {"body": body, "properties": [{"key": PROPERTY, "value": {"mark": mark}}]}
