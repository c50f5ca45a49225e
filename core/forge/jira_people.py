"""Accounts of Jira, and which issues a person may edit, by Jira's answer of this moment.

Cloud names accounts by an id; Data Center by a key, which stays, and a name. Who asks about others needs a permission:
`Administer Projects` for a search of people, `Administer Jira` for Cloud's check of one, which also works where there
are more than a thousand people.
"""

from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from pydantic import Field

from core.forge.host import READ, absent_is_no, listed
from core.http import Limits, RequestRefused
from core.payload import Flag, Number, Objects, Payload, Text, parse

_PERMISSION = "EDIT_ISSUES"
_FORMER_NAME = "EDIT_ISSUE"
_MOST_FOUND = 1_000


class Call(Protocol):
    """A request to the REST API; raises the errors of `core.http`."""

    def __call__(self, method: str, path: str, body: Any = None, *, limits: Limits | None = None) -> Any: ...


class Account(Payload):
    account_id: Text | None = Field(default=None, alias="accountId")
    key: Text | None = None
    name: Text | None = None
    kind: Text | None = Field(default=None, alias="accountType")
    active: Flag = True

    @property
    def id(self) -> str | None:
        return self.account_id or self.key or self.name

    @property
    def is_person(self) -> bool:
        """An active account that is not an app's (`app`) or a customer's of a service desk (`customer`)."""
        return self.active and self.kind in (None, "", "atlassian")


class _Server(Payload):
    deployment: Text = Field(default="", alias="deploymentType")


class _Numbered(Payload):
    id: Text = Field(pattern=r"^\d{1,15}$")


class _Granted(Payload):
    permission: Text
    issues: list[Number] | None = None
    projects: list[Number] | None = None


class _Check(Payload):
    granted: Objects = Field(default_factory=list, alias="projectPermissions")


class People:
    """The accounts of one Jira, as far as they matter to one project. All methods raise the errors of `core.http` and
    `BadField`."""

    def __init__(self, call: Call, address: str, project: str) -> None:
        self._call = call
        self._project = project
        self._cloud: bool | None = True if (urlsplit(address).hostname or "").endswith(".atlassian.net") else None
        self._own: Account | None = None

    def cloud(self) -> bool:
        if self._cloud is None:
            found = parse(_Server, self._call("GET", "/serverInfo"), "server")
            self._cloud = found.deployment == "Cloud"
        return self._cloud

    def own(self) -> Account:
        """The account of the token."""
        if self._own is None:
            self._own = parse(Account, self._call("GET", "/myself"), "account")
        return self._own

    def may_edit(self, user_id: str, ticket: str | None) -> bool:
        """Whether this is a person who may edit the issue, or issues of the project. What the token's own account does
        is Penstock's doing, and never a person's."""
        person = self._person(user_id)
        if person is None or not person.is_person or person.id == self.own().id:
            return False
        if not self.cloud():
            return self._found(person, ticket, "username", person.name or user_id)
        try:
            return self._granted(user_id, ticket)
        except RequestRefused as refusal:
            if refusal.status not in (401, 403):
                raise
            return self._found(person, ticket, "accountId", user_id)

    def _person(self, user_id: str) -> Account | None:
        names = ("accountId",) if self.cloud() else ("key", "username")
        for name in names:
            with absent_is_no():
                found = parse(Account, self._call("GET", f"/user?{name}={quote(user_id, safe='')}"), "account")
                return found if user_id in (found.account_id, found.key, found.name) else None
        return None

    def _granted(self, user_id: str, ticket: str | None) -> bool:
        """By Cloud's check of one person's permissions."""
        kind, path = (
            ("issues", f"/issue/{ticket}?fields=status") if ticket else ("projects", f"/project/{self._project}")
        )
        number = int(parse(_Numbered, self._call("GET", path), kind).id)
        asked = {"accountId": user_id, "projectPermissions": [{"permissions": [_PERMISSION], kind: [number]}]}
        answer = parse(_Check, self._call("POST", "/permissions/check", asked, limits=READ), "permissions")
        granted = [parse(_Granted, item, "permission") for item in answer.granted]
        return any(one.permission == _PERMISSION and number in (getattr(one, kind) or ()) for one in granted)

    def _found(self, person: Account, ticket: str | None, name: str, wanted: str) -> bool:
        """By a search among those who have the permission."""
        place = f"issueKey={ticket}" if ticket else f"projectKey={self._project}"
        query = f"{name}={quote(wanted, safe='')}&{place}&maxResults={_MOST_FOUND}"
        try:
            answer = self._call("GET", f"/user/permission/search?permissions={_PERMISSION}&{query}")
        except RequestRefused as refusal:
            if refusal.status != 400 or self.cloud():
                raise
            answer = self._call("GET", f"/user/permission/search?permissions={_FORMER_NAME}&{query}")
        return any(parse(Account, item, "account").id == person.id for item in listed(answer))
