"""Pull requests and their comments by Bitbucket Cloud's REST API
(https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/).

Its lists are objects with the items as `values` and the address of the `next` page.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from assets.context.tickets.apis.github import listed
from assets.context.tickets.apis.protocol import Page
from assets.context.tickets.apis.reader import ApiError, Reader
from core.forge.bitbucket_access import authorization
from core.payload import BadField, Count, parse
from core.tickets import TicketChange
from core.tickets.bitbucket import PullRequest, Remark, change_of

_STATES = "state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED"
_COMMENT_PAGES = 50
"""Of 100 comments each: at most 5,000 comments of a pull request are read."""


class _Listed(PullRequest):
    comment_count: Count | None = None


class BitbucketApi:
    address: str | None = "https://api.bitbucket.org"

    def headers(self, token: str | None) -> dict[str, str]:
        return {"Authorization": authorization(token)} if token else {}

    def steps(self, project: str, since: datetime | None) -> Sequence[str]:
        changed = f"&q={quote(f'updated_on>={since:%Y-%m-%dT%H:%M:%SZ}', safe='')}" if since else ""
        return (f"{_at(project)}?{_STATES}&sort=created_on&pagelen=50{changed}",)

    def page(self, reader: Reader, step: int, url: str, project: str, since: datetime | None) -> Page:
        items, following = values_of(reader.get(url).body)
        page = Page(next=following)
        for item in items:
            try:
                page.changes.extend(self._pull(reader, item, project))
            except BadField as error:
                page.skip(item, error)
        return page

    def _pull(self, reader: Reader, item: Mapping[str, Any], project: str) -> Iterator[TicketChange]:
        pull = parse(_Listed, item, "pull request")
        change = change_of(project, pull, "import")
        yield change
        url: str | None = f"{_at(project)}/{pull.id}/comments?sort=created_on&pagelen=100"
        if pull.comment_count == 0:
            return
        for _ in range(_COMMENT_PAGES):
            if url is None:
                return
            remarks, url = values_of(reader.get(url).body)
            for remark in remarks:
                found = parse(Remark, remark, "comment")
                if not found.pending:
                    yield change.model_copy(update={"ticket": None, "comment": found.comment()})


def values_of(body: Any) -> tuple[list[Mapping[str, Any]], str | None]:
    """The items of a page, and the address of the next one. Raises `ApiError` if it is no page."""
    if not isinstance(body, Mapping):
        raise ApiError("the answer is not a page of Bitbucket's: is this the address of the service's API?")
    following = body.get("next")
    return listed(body.get("values")), following if isinstance(following, str) else None


def _at(project: str) -> str:
    return f"/2.0/repositories/{quote(project)}/pullrequests"
