"""Issues with their comments by Jira's REST API, in Jira Cloud and Data Center.

Cloud searches with page tokens
(https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-search/); Data Center does not have
that endpoint and searches by `/rest/api/2/search` with offsets.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from assets.context.tickets.apis.protocol import Page
from assets.context.tickets.apis.reader import ApiError, Reader
from core.payload import BadField, objects_at, optional_number_at, value_at
from core.tickets import Kind, Service, TicketChange
from core.tickets.jira import comment_of, key_at, project_of, snapshot

_FIELDS = "summary,description,status,labels,reporter,creator,assignee,created,updated,resolutiondate,security,comment"
_CLOUD, _DATA_CENTER = "/rest/api/2/search/jql", "/rest/api/2/search"
_PER_PAGE = 50
_MOST_COMMENTS = 5000


class JiraApi:
    address: str | None = None

    def headers(self, token: str | None) -> dict[str, str]:
        if not token:
            return {}
        if ":" in token:  # user@example.org:TOKEN
            return {"Authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
        return {"Authorization": f"Bearer {token}"}

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
        if not isinstance(body, Mapping):
            raise ApiError("the answer is not an object: is this the address of Jira?")
        page = Page()
        try:
            items = list(objects_at(body, "issues", 1000))
            page.next = _next(url, body, len(items))
        except BadField as error:
            raise ApiError(f"the answer is not in Jira's format: {error}") from error
        for item in items:
            try:
                page.changes.extend(_issue(reader, item))
            except BadField as error:
                page.skip(item, error)
        return page


def _next(url: str, body: Mapping[str, Any], count: int) -> str | None:
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    token = value_at(body, "nextPageToken")
    if isinstance(token, str) and token:
        query["nextPageToken"] = token
    elif (total := optional_number_at(body, "total", least=0)) is not None and count:
        start = (optional_number_at(body, "startAt", least=0) or 0) + count
        if start >= total:
            return None
        query["startAt"] = str(start)
    else:
        return None
    return f"{urlsplit(url).path}?{urlencode(query, quote_via=quote)}"


def _issue(reader: Reader, item: Mapping[str, Any]) -> Iterator[TicketChange]:
    payload = {"issue": item}
    key = key_at(payload, "issue.key")
    change = TicketChange(
        service=Service.JIRA,
        project=project_of(key),
        key=key,
        kind=Kind.ISSUE,
        action="import",
        ticket=snapshot(payload, "issue"),
    )
    yield change
    comments = list(objects_at(payload, "issue.fields.comment.comments", _MOST_COMMENTS))
    total = optional_number_at(payload, "issue.fields.comment.total", least=0) or len(comments)
    if total > len(comments):  # a search returns only the first few
        comments = list(_all_comments(reader, key))
    for comment in comments:
        found = comment_of({"comment": comment}, "comment")
        yield change.model_copy(update={"ticket": None, "comment": found})


def _all_comments(reader: Reader, key: str) -> Iterator[Mapping[str, Any]]:
    start = 0
    while start < _MOST_COMMENTS:
        body = reader.get(f"/rest/api/2/issue/{key}/comment?startAt={start}&maxResults=100&orderBy=created").body
        if not isinstance(body, Mapping):
            raise ApiError("the answer is not an object: is this the address of Jira?")
        found = list(objects_at(body, "comments", 1000))
        yield from found
        start += len(found)
        if not found or start >= (optional_number_at(body, "total", least=0) or 0):
            return
