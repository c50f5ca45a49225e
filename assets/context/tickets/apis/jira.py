"""Issues with their comments by Jira's REST API, in Jira Cloud and Data Center.

Cloud searches with page tokens
(https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-search/); Data Center does not have
that endpoint and searches by `/rest/api/2/search` with offsets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from pydantic import Field

from assets.context.tickets.apis.protocol import Page
from assets.context.tickets.apis.reader import ApiError, Reader
from core.payload import BadField, Count, Needed, Objects, Payload, parse
from core.tickets import TicketChange
from core.tickets.jira import Issue, Remark, authorization

_FIELDS = "summary,description,status,labels,reporter,creator,assignee,created,updated,resolutiondate,security,comment"
_CLOUD, _DATA_CENTER = "/rest/api/2/search/jql", "/rest/api/2/search"
_PER_PAGE = 50
_MOST_COMMENTS = 5000

_Parsed = TypeVar("_Parsed", bound=Payload)


class _Issues(Payload):
    """A page of a search. The next page is found by offset in Data Center, by a token in Cloud."""

    issues: Objects
    token: Any = Field(default=None, alias="nextPageToken")
    total: Count | None = None
    start: Count | None = Field(default=None, alias="startAt")


class _Comments(Payload):
    comments: Objects
    total: Count | None = None


class _Fields(Payload):
    comment: Needed[_Comments]


class _WithComments(Payload):
    fields: Needed[_Fields]


class JiraApi:
    address: str | None = None

    def headers(self, token: str | None) -> dict[str, str]:
        return {"Authorization": authorization(token)} if token else {}

    def steps(self, project: str, since: datetime | None) -> Sequence[str]:
        # Jira reads the time in the zone of the token's user, which may differ by up to a day.
        changed = f' AND updated >= "{since - timedelta(days=1):%Y-%m-%d %H:%M}"' if since else ""
        jql = f'project = "{project}"{changed} ORDER BY created ASC'
        return (f"{_CLOUD}?{urlencode({'jql': jql, 'fields': _FIELDS, 'maxResults': _PER_PAGE}, quote_via=quote)}",)

    def page(self, reader: Reader, step: int, url: str, project: str, since: datetime | None) -> Page:
        try:
            body = reader.get(url).body
        except ApiError as error:
            if error.status not in (404, 405) or urlsplit(url).path != _CLOUD or "nextPageToken" in url:
                raise
            url = f"{_DATA_CENTER}?{urlsplit(url).query}"
            body = reader.get(url).body
        found = _parsed(_Issues, body)
        page = Page(next=_next(url, found))
        for item in found.issues:
            try:
                page.changes.extend(_issue(reader, item))
            except BadField as error:
                page.skip(item, error)
        return page


def _parsed(model: type[_Parsed], body: Any) -> _Parsed:
    try:
        return parse(model, body)
    except BadField as error:
        raise ApiError(f"the answer is not in Jira's format: {error}: is this the address of Jira?") from error


def _next(url: str, page: _Issues) -> str | None:
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    if isinstance(page.token, str) and page.token:
        query["nextPageToken"] = page.token
    elif page.total is not None and page.issues:
        start = (page.start or 0) + len(page.issues)
        if start >= page.total:
            return None
        query["startAt"] = str(start)
    else:
        return None
    return f"{urlsplit(url).path}?{urlencode(query, quote_via=quote)}"


def _issue(reader: Reader, item: Mapping[str, Any]) -> Iterator[TicketChange]:
    change = parse(Issue, item, "issue").change("import")
    yield change
    first = parse(_WithComments, item, "issue").fields.comment
    comments: Iterable[Mapping[str, Any]] = first.comments[:_MOST_COMMENTS]
    if (first.total or 0) > len(first.comments):  # a search returns only the first few
        comments = _all_comments(reader, change.key)
    for comment in comments:
        found = parse(Remark, comment, "comment").comment()
        yield change.model_copy(update={"ticket": None, "comment": found})


def _all_comments(reader: Reader, key: str) -> Iterator[Mapping[str, Any]]:
    start = 0
    while start < _MOST_COMMENTS:
        body = reader.get(f"/rest/api/2/issue/{key}/comment?startAt={start}&maxResults=100&orderBy=created").body
        found = _parsed(_Comments, body)
        yield from found.comments
        start += len(found.comments)
        if not found.comments or start >= (found.total or 0):
            return
