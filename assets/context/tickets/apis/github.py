"""Issues, pull requests and comments by GitHub's REST API (https://docs.github.com/rest/issues).

Read in the order of creation, which later changes don't affect: if pages shift, items are read twice, but none
is missed.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from assets.context.tickets.apis.protocol import Page
from assets.context.tickets.apis.reader import ApiError, Reader
from core.payload import BadField, parse
from core.tickets import Kind, Service, TicketChange
from core.tickets.github import Remark, Ticket, kind_of

_NUMBER = re.compile(r"/(?:issues|pulls?)/([1-9]\d{0,11})(?:$|#|\?)")


class GitHubApi:
    service = Service.GITHUB
    address: str | None = "https://api.github.com"

    def headers(self, token: str | None) -> dict[str, str]:
        found = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        return found | ({"Authorization": f"Bearer {token}"} if token else {})

    def steps(self, project: str, since: datetime | None) -> Sequence[str]:
        at = f"/repos/{quote(project)}"
        changed = f"&since={quote(f'{since:%Y-%m-%dT%H:%M:%SZ}')}" if since else ""
        newest_first = "&sort=updated&direction=desc" if since else "&sort=created&direction=asc"
        oldest_first = f"&sort=created&direction=asc{changed}"
        return (
            f"{at}/issues?state=all&per_page=100{oldest_first}",
            f"{at}/pulls?state=all&per_page=100{newest_first}",
            f"{at}/issues/comments?per_page=100{oldest_first}",
            f"{at}/pulls/comments?per_page=100{oldest_first}",
        )

    def page(self, reader: Reader, step: int, url: str, project: str, since: datetime | None) -> Page:
        answer = reader.get(url)
        page = Page(next=answer.next)
        for item in listed(answer.body):
            try:
                if step > 1:
                    page.changes.append(self._comment(item, project, step))
                    continue
                at = "pull_request" if step == 1 else "issue"
                ticket = parse(Ticket, item, at)
                if step == 1 and since and ticket.updated_at and ticket.updated_at < since:
                    page.next = None  # newest first, so all further items are older
                    break
                if ticket.number is None:
                    raise BadField(f"{at}.number", "is missing")
                kind = Kind.PULL_REQUEST if step == 1 else kind_of(ticket)
                snapshot = ticket.snapshot(kind, project)
                page.changes.append(self._change(project, ticket.number, kind, ticket=snapshot))
            except BadField as error:
                page.skip(item, error)
        return page

    def _comment(self, item: Mapping[str, Any], project: str, step: int) -> TicketChange:
        remark = parse(Remark, item, "comment")
        found = (_NUMBER.search(url or "") for url in (remark.issue_url, remark.pull_request_url, remark.html_url))
        number = next((match[1] for match in found if match), None)
        if number is None:
            raise BadField("issue_url", "contains no issue number")
        kind = Kind.PULL_REQUEST if "/pull" in (remark.html_url or "") else Kind.ISSUE
        return self._change(project, number, kind, comment=remark.comment("review-" if step == 3 else ""))

    def _change(self, project: str, number: int | str, kind: Kind, **new: Any) -> TicketChange:
        return TicketChange(service=self.service, project=project, key=f"#{number}", kind=kind, action="import", **new)


def listed(body: Any) -> list[Mapping[str, Any]]:
    """A page's items. Raises `ApiError` if it is not a list of objects."""
    if not isinstance(body, list) or not all(isinstance(item, Mapping) for item in body):
        raise ApiError("the answer is not a list of objects: is this the address of the service's API?")
    return body
