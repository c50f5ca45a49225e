"""Types of ticket fields that several services share. They bound values, and cut those that are too long."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from core.payload import Moment, Payload, Text, cut_body, cut_title, web_address
from core.repository_names import RepositoryId
from core.tickets.record import BODY_BYTES, MOST_ASSIGNEES, MOST_LABELS, NAME_CHARACTERS, TITLE_CHARACTERS

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_MOST_IDENTITY = 2**63
_LONGEST_ADDRESS = 2000
_HOST = re.compile(r"[a-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9a-f:.]{2,45}\](?::\d{1,5})?")


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
    """Keeps the first `most` items of a list. An item that is a string becomes an object with that name."""

    def cut(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"name": item} if isinstance(item, str) else item for item in value[:most]]

    return cut


RepositoryName = Annotated[Text, AfterValidator(_repository)]
"""`owner/name`, in lower case."""

Title = Annotated[Text, AfterValidator(lambda title: cut_title(title, TITLE_CHARACTERS))]
Body = Annotated[Text | None, AfterValidator(lambda body: cut_body(body or "", BODY_BYTES))]
"""A text that may be long or missing."""

Address = Annotated[Text | None, AfterValidator(web_address)]
Name = Annotated[Text | None, AfterValidator(_name)]
"""A name of a user, label or state, cut to the stored length; None if it is empty."""

Identity = Annotated[Name, BeforeValidator(_identity)]
"""An id that may be a number or a string, as a string."""

CommitId = Annotated[Text | None, AfterValidator(lambda found: found if found and _COMMIT.fullmatch(found) else None)]
"""A commit's full id; None for anything else."""


class Label(Payload):
    """A label. GitLab calls its name `title`."""

    name: Name = None
    title: Name = None


class Person(Payload):
    """A user. GitHub and Gitea have logins, GitLab has user names."""

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
    """The fields of an issue or a pull request that have the same names on GitHub and GitLab."""

    title: Title
    state: Name = None
    labels: Labels = None
    assignees: People = None
    closed_at: Moment = None
    merge_commit_sha: CommitId = None


class Repository(Payload):
    """A repository on GitHub or Gitea. Hand-written samples may lack the id and the address."""

    full_name: RepositoryName
    number: Any = Field(default=None, alias="id")
    html_url: Any = None

    def identity(self, service: str) -> RepositoryId | None:
        return repository_id(service, self.number, self.html_url)


def repository_id(service: str, number: Any, *addresses: Any) -> RepositoryId | None:
    """The permanent id of a repository, from its number and the first address that names its host. None if either is
    missing or malformed: the id is optional."""
    if type(number) is not int or not 0 < number < _MOST_IDENTITY:
        return None
    host = next(filter(None, map(_host, addresses)), None)
    return RepositoryId(service, host, number) if host else None


def _host(address: Any) -> str | None:
    if not isinstance(address, str) or len(address) > _LONGEST_ADDRESS:
        return None
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2].lower()
    except ValueError:
        return None
    return host if parts.scheme in ("http", "https") and _HOST.fullmatch(host) else None


def names(found: Iterable[str | None] | None) -> tuple[str, ...]:
    """Each name once, in order of first occurrence."""
    return tuple(dict.fromkeys(name for name in found or () if name))


def label_names(labels: list[Label] | None) -> tuple[str, ...]:
    return names(label.title or label.name for label in labels or ())


def people_names(people: list[Person] | None) -> tuple[str, ...]:
    return names(person.called or person.name for person in people or ())
