"""Linear as a tracker, by its GraphQL API (https://linear.app/developers/graphql).

A comment's id is chosen here, from its mark, so that it cannot be written twice. An attachment, Linear's link, is one
for each address. Linear has no workflow: an issue may get any status of its team.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from core.commands import OWN_SIGN
from core.forge.host import PAUSES, READ, WRITE, translated
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import Action, Said
from core.http import Limits, RequestRefused, Service
from core.payload import Flag, Needed, Objects, Payload, Text, parse, web_address

ADDRESS = "https://api.linear.app"
_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,29}-[1-9]\d{0,11}")
_PROFILE = re.compile(r"(linear\.app/[^/\s]{1,100}/profiles)(?=/)", re.IGNORECASE)
"""The address of a person, which is a mention."""
_LIMITED = "RATELIMITED"
_ACCESS = ("AUTHENTICATION_ERROR", "FORBIDDEN", "FEATURE_NOT_ACCESSIBLE")

_ACCOUNT = "query { viewer { id } }"
_TEAM = "query($key: String!) { teams(filter: { key: { eq: $key } }, first: 1) { nodes { id } } }"
_USER = "query($id: ID!) { users(filter: { id: { eq: $id } }, first: 1) { nodes { id active guest app isMe } } }"
_COMMENT = "query($id: ID!) { comments(filter: { id: { eq: $id } }, first: 1) { nodes { id url body user { id } } } }"
_STATUS = "query($id: String!) { issue(id: $id) { state { name } } }"
_STATUSES = "query($id: String!) { issue(id: $id) { team { states(first: 100) { nodes { id name } } } } }"
_CREATE = "mutation($input: CommentCreateInput!) { commentCreate(input: $input) { success comment { id url body } } }"
_UPDATE = (
    "mutation($id: String!, $input: CommentUpdateInput!) "
    "{ commentUpdate(id: $id, input: $input) { success comment { id url body } } }"
)
_ATTACH = "mutation($input: AttachmentCreateInput!) { attachmentCreate(input: $input) { success } }"
_MOVE = "mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }"
QUERIES = (_ACCOUNT, _TEAM, _USER, _COMMENT, _STATUS, _STATUSES, _CREATE, _UPDATE, _ATTACH, _MOVE)


class _Account(Payload):
    id: Text


class _Viewer(Payload):
    viewer: _Account


class _Nodes(Payload):
    nodes: Objects


class _User(Payload):
    id: Text
    active: Flag
    guest: Flag
    app: Flag
    is_me: Flag = Field(alias="isMe")


class _Comment(Payload):
    id: Text
    url: Text = ""
    body: Text = ""
    user: _Account | None = None

    def said(self) -> Said:
        return Said(self.id, web_address(self.url) or "", self.body.replace(OWN_SIGN, ""))


class _Commented(Payload):
    comment: _Comment


class _State(Payload):
    id: Text = ""
    name: Text


class _Team(Payload):
    states: Needed[_Nodes]


class _Issue(Payload):
    state: _State | None = None
    team: _Team | None = None


class _Problem(Payload):
    """An error of GraphQL; `code` is Linear's."""

    message: Text = ""
    extensions: dict[str, Any] | None = None

    @property
    def code(self) -> str:
        return str((self.extensions or {}).get("code", ""))


class LinearTracker:
    """The issues of one team. `token` is asked for each request: a personal API key, or an OAuth token."""

    most_characters = 20_000

    def __init__(self, address: str, project: str, token: Callable[[], str], *, setting: str) -> None:
        self.target = f"linear:{project}"
        self._project = project
        self._remedy = f"set {setting} to a key of an account that may read and write issues of the team {project}"
        self._service = Service(
            address, headers=lambda: {"Authorization": _authorization(token())}, pauses=PAUSES, environment_proxies=True
        )
        self._own = ""

    def check(self) -> None:
        self._account()
        if not self._nodes(_TEAM, "teams", key=self._project):
            raise ForgeUnavailable(f"the token sees no team {self._project}: {self._remedy}")

    def may_write(self, login: str, user_id: str | None, ticket: str | None) -> bool:
        """Members of the workspace may; its guests, programs and the token's own account may not."""
        if user_id is None:
            return False
        with self._translated():
            found = [parse(_User, item, "user") for item in self._nodes(_USER, "users", id=user_id)]
        return any(one.id == user_id and one.active and not (one.guest or one.app or one.is_me) for one in found)

    def find(self, ticket: str, mark: str) -> Said | None:
        identity = _identity(self._checked(ticket), mark)
        with self._translated():
            found = [parse(_Comment, item, "comment") for item in self._nodes(_COMMENT, "comments", id=identity)]
            own = self._account() if found else ""
        return next((one.said() for one in found if one.id == identity and one.user and one.user.id == own), None)

    def write(self, ticket: str, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        body = {"id": _identity(self._checked(ticket), mark), "issueId": ticket, "body": _shown(text)}
        return self._commented("commentCreate", _CREATE, input=body)

    def edit(self, ticket: str, said: Said, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        return self._commented("commentUpdate", _UPDATE, id=said.id, input={"body": _shown(text)})

    def link(self, ticket: str, url: str, title: str) -> None:
        attachment = {"issueId": self._checked(ticket), "url": url, "title": title}
        self._ask(_ATTACH, WRITE, input=attachment)

    def status(self, ticket: str) -> str | None:
        with self._translated():
            found = parse(_Issue, self._ask(_STATUS, READ, id=self._checked(ticket)).get("issue"), "issue")
        return found.state.name if found.state else None

    def move(self, ticket: str, status: str) -> bool:
        with self._translated():
            found = parse(_Issue, self._ask(_STATUSES, READ, id=self._checked(ticket)).get("issue"), "issue")
            states = [parse(_State, item, "state") for item in (found.team.states.nodes if found.team else ())]
        wanted = next((one for one in states if one.name.casefold() == status.casefold()), None)
        if wanted is not None:
            self._ask(_MOVE, WRITE, id=ticket, input={"stateId": wanted.id})
        return wanted is not None

    def _account(self) -> str:
        if not self._own:
            with self._translated():
                self._own = parse(_Viewer, self._ask(_ACCOUNT, READ), "account").viewer.id
        return self._own

    def _commented(self, name: str, query: str, **variables: Any) -> Said:
        with self._translated():
            return parse(_Commented, self._ask(query, WRITE, **variables).get(name), "comment").comment.said()

    def _nodes(self, query: str, name: str, **variables: Any) -> list[dict[str, Any]]:
        with self._translated():
            return parse(_Nodes, self._ask(query, READ, **variables).get(name), name).nodes

    def _ask(self, query: str, limits: Limits, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        with self._translated():
            answer = self._service.json("POST", "/graphql", {"query": query, "variables": variables}, limits=limits)
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if errors:
            with self._translated():
                raise self._refusal(parse(_Problem, errors[0] if isinstance(errors, list) else errors, "error"))
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise ForgeUnavailable(f"{self._service.base} answers in another format than its API's")
        return data

    def _refusal(self, problem: _Problem) -> RuntimeError:
        said = f"{self._service.base}: {problem.message[:300]} ({problem.code[:60] or 'no code'})"
        if problem.code == _LIMITED:
            return ForgeUnavailable(said, PAUSES.unsaid)
        if problem.code in _ACCESS:
            return ForgeUnavailable(f"{said}: {self._remedy}")
        return PublicationRefused(said) if problem.code == "INPUT_ERROR" else ForgeUnavailable(said)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self._service.base, self._remedy, lambda refusal: False):
            try:
                yield
            except RequestRefused as refusal:
                if _LIMITED in str(refusal):  # with status 400
                    raise ForgeUnavailable(str(refusal), PAUSES.unsaid) from None
                raise

    def _checked(self, ticket: str) -> str:
        """A key of this team. Raises `PublicationRefused`."""
        if not _KEY.fullmatch(ticket) or ticket.rpartition("-")[0] != self._project:
            raise PublicationRefused(f"{ticket[:40]!r} is not the key of an issue of {self._project}")
        return ticket


def _authorization(token: str) -> str:
    return token if token.startswith("lin_api_") else f"Bearer {token}"


def _identity(ticket: str, mark: str) -> str:
    """The id of a comment, which Linear wants in the form of version 4."""
    digest = hashlib.sha256(f"penstock {ticket} {mark}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _shown(text: str) -> str:
    """Markdown, as Linear takes it, without mentions of people by their addresses."""
    return _PROFILE.sub("\\1\N{WORD JOINER}", text) + OWN_SIGN
