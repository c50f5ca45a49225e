"""Issues, merge requests and their notes by GitLab's REST API (https://docs.gitlab.com/api/issues/)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from assets.context.tickets.apis.github import listed
from assets.context.tickets.apis.protocol import Page
from assets.context.tickets.apis.reader import Reader
from core.payload import BadField, parse
from core.tickets import Kind, Service, TicketChange
from core.tickets.gitlab import Note, Ticket, key_of

_KINDS = (Kind.ISSUE, Kind.PULL_REQUEST)
_PLACES = ("issues", "merge_requests")
_NOTE_PAGES = 50
"""Of 100 notes each: at most 5,000 notes per ticket are read."""


class GitLabApi:
    address: str | None = "https://gitlab.com"

    def headers(self, token: str | None) -> dict[str, str]:
        return {"PRIVATE-TOKEN": token} if token else {}

    def steps(self, project: str, since: datetime | None) -> Sequence[str]:
        changed = f"&updated_after={quote(f'{since:%Y-%m-%dT%H:%M:%SZ}')}" if since else ""
        order = f"scope=all&order_by=created_at&sort=asc&per_page=50{changed}"
        return tuple(f"{_at(project)}/{place}?{order}" for place in _PLACES)

    def page(self, reader: Reader, step: int, url: str, project: str, since: datetime | None) -> Page:
        answer = reader.get(url)
        page = Page(next=answer.next)
        for item in listed(answer.body):
            try:
                page.changes.extend(self._ticket(reader, item, project, step))
            except BadField as error:
                page.skip(item, error)
        return page

    def _ticket(self, reader: Reader, item: Mapping[str, Any], project: str, step: int) -> Iterator[TicketChange]:
        kind, ticket = _KINDS[step], parse(Ticket, item, "ticket")
        change = TicketChange(
            service=Service.GITLAB,
            project=project,
            key=key_of(kind, ticket.iid),
            kind=kind,
            action="import",
            ticket=ticket.snapshot(kind, project),
        )
        yield change
        url: str | None = f"{_at(project)}/{_PLACES[step]}/{ticket.iid}/notes?per_page=100&sort=asc&order_by=created_at"
        if ticket.user_notes_count == 0:
            return
        for _ in range(_NOTE_PAGES):
            if url is None:
                return
            answer = reader.get(url)
            for note in listed(answer.body):
                if note.get("system") is not True:
                    comment = parse(Note, note, "note").comment()
                    if comment.url is None and ticket.web_url:  # as webhooks give it
                        comment = comment.model_copy(update={"url": f"{ticket.web_url}#note_{comment.id}"})
                    yield change.model_copy(update={"ticket": None, "comment": comment})
            url = answer.next


def _at(project: str) -> str:
    return f"/api/v4/projects/{quote(project, safe='')}"
