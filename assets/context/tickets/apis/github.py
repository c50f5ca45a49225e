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
from core.payload import BadField, number_at, optional_text_at, time_at
from core.tickets import Kind, Service, TicketChange
from core.tickets.github import comment_of, kind_of, snapshot

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
                if step == 1 and since and (when := time_at(item, "updated_at")) and when < since:
                    page.next = None  # newest first, so all further items are older
                    break
                read = self._ticket if step < 2 else self._comment
                page.changes.append(read(item, project, step))
            except BadField as error:
                page.skip(item, error)
        return page

    def _ticket(self, item: Mapping[str, Any], project: str, step: int) -> TicketChange:
        at = "pull_request" if step == 1 else "issue"
        payload = {at: item}
        return TicketChange(
            service=self.service,
            project=project,
            key=f"#{number_at(payload, f'{at}.number')}",
            kind=kind_of(payload, at),
            action="import",
            ticket=snapshot(payload, at, project),
        )

    def _comment(self, item: Mapping[str, Any], project: str, step: int) -> TicketChange:
        for name in ("issue_url", "pull_request_url", "html_url"):
            found = _NUMBER.search(optional_text_at(item, name) or "")
            if found:
                break
        else:
            raise BadField("issue_url", "names no issue")
        is_pull = "/pull" in (optional_text_at(item, "html_url") or "")
        return TicketChange(
            service=self.service,
            project=project,
            key=f"#{found[1]}",
            kind=Kind.PULL_REQUEST if is_pull else Kind.ISSUE,
            action="import",
            comment=comment_of({"comment": item}, "comment", prefix="review-" if step == 3 else ""),
        )


def listed(body: Any) -> list[Mapping[str, Any]]:
    """A page's items. Raises `ApiError` if it is not a list of objects."""
    if not isinstance(body, list) or not all(isinstance(item, Mapping) for item in body):
        raise ApiError("the answer is not a list of objects: is this the address of the service's API?")
    return body
