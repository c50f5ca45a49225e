"""The fields of tickets that several services write alike, as types of their models: bounded, and cut where need be."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from core.payload import Moment, Payload, Text, cut_body, cut_title, web_address
from core.tickets.record import BODY_BYTES, MOST_ASSIGNEES, MOST_LABELS, NAME_CHARACTERS, TITLE_CHARACTERS

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_MOST_IDENTITY = 2**63


def _repository(name: str) -> str:
    name = name.lower()
    if not re.fullmatch(r"[^/\s]+(?:/[^/\s]+)+", name) or len(name) > 300:
        raise ValueError('must be "owner/name"')
    return name


def _name(value: str | None) -> str | None:
    return value[:NAME_CHARACTERS] if value else None


def _identity(value: Any) -> Any:
    return str(value) if type(value) is int and 0 < value < _MOST_IDENTITY else value


def _first(most: int) -> Callable[[Any], Any]:
    """Of a list its first items, where a text stands for an object with that name."""

    def cut(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"name": item} if isinstance(item, str) else item for item in value[:most]]

    return cut


RepositoryName = Annotated[Text, AfterValidator(_repository)]
"""`owner/name`, in lower case."""

Title = Annotated[Text, AfterValidator(lambda title: cut_title(title, TITLE_CHARACTERS))]
Body = Annotated[Text | None, AfterValidator(lambda body: cut_body(body or "", BODY_BYTES))]
"""A text that may be long, or missing."""

Address = Annotated[Text | None, AfterValidator(web_address)]
Name = Annotated[Text | None, AfterValidator(_name)]
"""A person's or a state's name, cut to what is stored; None where it is empty."""

Identity = Annotated[Name, BeforeValidator(_identity)]
"""An id that may be a number or a text, as text."""

CommitId = Annotated[Text | None, AfterValidator(lambda found: found if found and _COMMIT.fullmatch(found) else None)]
"""A commit's full id, or None where there is none."""


class Label(Payload):
    """GitLab calls the name `title`."""

    name: Name = None
    title: Name = None


class Person(Payload):
    """GitHub and Gitea have logins, GitLab has user names, Jira display names."""

    id: Identity = None
    login: Name = None
    username: Name = None
    name: Name = None

    @property
    def called(self) -> str | None:
        return self.login or self.username


Labels = Annotated[list[Label] | None, BeforeValidator(_first(MOST_LABELS))]
People = Annotated[list[Person] | None, BeforeValidator(_first(MOST_ASSIGNEES))]


class Dated(Payload):
    created_at: Moment = None
    updated_at: Moment = None


class ForgeTicket(Dated):
    """What GitHub and GitLab name alike in an issue or a pull request."""

    title: Title
    state: Name = None
    labels: Labels = None
    assignees: People = None
    closed_at: Moment = None
    merge_commit_sha: CommitId = None


class Repository(Payload):
    full_name: RepositoryName


def names(found: Iterable[str | None] | None) -> tuple[str, ...]:
    """Each once, in their order."""
    return tuple(dict.fromkeys(name for name in found or () if name))


def label_names(labels: list[Label] | None) -> tuple[str, ...]:
    return names(label.title or label.name for label in labels or ())


def people_names(people: list[Person] | None) -> tuple[str, ...]:
    return names(person.called or person.name for person in people or ())
