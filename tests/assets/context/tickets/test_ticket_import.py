"""Imports over real HTTP, from a server that answers according to the services' published schemas."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from assets.context.tickets import inbox
from assets.context.tickets.apis import ApiError, Reader
from assets.context.tickets.importing import (
    ImportRefused,
    ImportReport,
    import_tickets,
    link_project,
    unlink_project,
)
from assets.context.tickets.search import search_tickets
from core.database import Database
from core.embedding import Embedder
from core.events import DEFAULT_TEAM, Event
from core.payload import parse
from core.tickets import TICKET_CHANGED, Service
from core.tickets import github as github_tickets
from tests.assets.context.tickets.ticket_cases import Tracker

Answer = tuple[int, Any, dict[str, str]]
STAMP = "2026-03-01T10:00:00Z"


class FakeService:
    """Answers GET requests by `routes` (pattern of the path -> function that makes the answer), and records them."""

    def __init__(self) -> None:
        self.routes: dict[str, Callable[[dict[str, str], Any], Answer]] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                service.requests.append(self.path)
                service.headers.append({name.lower(): value for name, value in self.headers.items()})
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                status, body, headers = 404, {"message": "Not Found"}, {}
                for pattern, make in service.routes.items():
                    if found := re.fullmatch(pattern, parts.path):
                        status, body, headers = make(query, found)
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pages(self, items: list[dict[str, Any]], size: int = 2) -> Callable[[dict[str, str], Any], Answer]:
        """A list in pages, with the URL of the next page in the header `Link`."""

        def answer(query: dict[str, str], found: Any) -> Answer:
            page = int(query.get("page", "1"))
            link = f'<{self.address}{found[0]}?page={page + 1}>; rel="next", <{self.address}/x>; rel="last"'
            more = page * size < len(items)
            return 200, items[(page - 1) * size : page * size], {"Link": link} if more else {}

        return answer

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[FakeService]:
    made = FakeService()
    yield made
    made.stop()


@pytest.fixture
def run(database: Database, service: FakeService, hashing: Embedder) -> Callable[..., ImportReport]:
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location, repository) VALUES (%s, 'shop', '/srv/shop', 'acme/shop')",
            (DEFAULT_TEAM,),
        )

    def run(kind: Service, project: str | None = None, **options: Any) -> ImportReport:
        link = link_project(database, DEFAULT_TEAM, "shop", kind, project, service.address)
        return import_tickets(
            database,
            DEFAULT_TEAM,
            link,
            **{"token": "s3cret", "embedders": [hashing], "sleep": lambda _: None, **options},
        )

    return run


@pytest.fixture
def keys(database: Database) -> Callable[[str], list[str]]:
    return lambda query: [hit.key for hit in search_tickets(database, DEFAULT_TEAM, "shop", query)]


def github_issue(number: int, title: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": 1000 + number,
        "number": number,
        "title": title or f"Ticket {number}",
        "body": f"words{number}",
        "state": "open",
        "state_reason": None,
        "user": {"login": "ada", "id": 1},
        "labels": [{"name": "bug"}],
        "assignees": [],
        "html_url": f"https://github.com/acme/shop/issues/{number}",
        "created_at": STAMP,
        "updated_at": STAMP,
        "closed_at": None,
        "author_association": "NONE",
        **more,
    }


def github_comment(identity: int, number: int, body: str, what: str = "issues") -> dict[str, Any]:
    return {
        "id": identity,
        "body": body,
        "user": {"login": "eve", "id": 2},
        "html_url": f"https://github.com/acme/shop/{what}/{number}#c{identity}",
        "issue_url": f"https://api.github.com/repos/acme/shop/issues/{number}",
        "created_at": STAMP,
        "updated_at": STAMP,
        "author_association": "MEMBER",
    }


def github(service: FakeService, issues: list[dict[str, Any]], comments: list[dict[str, Any]]) -> None:
    pull = {**github_issue(9, "Count once", body="Fixes #1", state="closed"), "merged_at": STAMP}
    pull |= {"merge_commit_sha": "c" * 40, "head": {"ref": "fix"}}
    seen = {**github_issue(9, "Count once", body="Fixes #1", state="closed"), "pull_request": {"merged_at": STAMP}}
    service.routes = {
        "/repos/acme/shop/issues": service.pages([*issues, seen]),
        "/repos/acme/shop/pulls": service.pages([pull]),
        "/repos/acme/shop/issues/comments": service.pages(comments),
        "/repos/acme/shop/pulls/comments": service.pages([]),
    }


def test_a_github_project_is_imported_page_by_page_and_again_without_an_effect(
    run: Callable[..., ImportReport], service: FakeService, keys: Callable[[str], list[str]], database: Database
) -> None:
    comments = [github_comment(7, 1, "memcached"), github_comment(8, 9, "looks right", "pull")]
    github(service, [github_issue(n) for n in range(1, 6)], comments)
    report = run(Service.GITHUB)
    assert (report.pages, report.changes, report.complete) == (6, 9, True)
    assert report.index.status.tickets == {"issue open": 5, "pull request merged": 1}
    [hit, *_] = search_tickets(database, DEFAULT_TEAM, "shop", "memcached")
    assert (hit.key, hit.part, hit.trust) == ("#1", "7", "ticket author")
    assert hit.closed_by == ("#9 at cccccccccccc",)
    assert {header.get("authorization") for header in service.headers} == {"Bearer s3cret"}
    again = run(Service.GITHUB)
    assert (again.index.chunks_new, again.index.embedded, again.index.status.total) == (0, 0, 6)
    assert "since=" in next(request for request in service.requests[6:] if "/issues?" in request)


def test_an_interrupted_import_resumes_where_it_stopped(
    run: Callable[..., ImportReport], service: FakeService, keys: Callable[[str], list[str]]
) -> None:
    github(service, [github_issue(n) for n in range(1, 8)], [github_comment(7, 1, "memcached")])
    first = run(Service.GITHUB, most_pages=2)
    assert (first.complete, first.index.status.total) == (False, 4)
    assert keys("words3")[0] == "#3"
    service.requests.clear()
    rest = run(Service.GITHUB)
    assert (rest.complete, rest.index.status.total) == (True, 8)
    assert service.requests[0] == "/repos/acme/shop/issues?page=3"
    assert keys("memcached") == ["#1"]


def test_an_import_during_live_events_never_restores_older_data(
    run: Callable[..., ImportReport], service: FakeService, database: Database
) -> None:
    github(service, [github_issue(1, "As it was")], [])
    run(Service.GITHUB)
    payload = {
        "action": "edited",
        "issue": github_issue(1, "As it is", updated_at="2026-03-02T10:00:00Z"),
        "repository": {"full_name": "acme/shop"},
    }
    issue = parse(github_tickets.IssueDelivery, payload)
    change = github_tickets.change_of("issues", issue, Service.GITHUB)
    assert change is not None
    data = {"change": change.model_dump(mode="json", exclude_none=True)}
    inbox.accept(database, [Event(id="github:1", source="/x", type=TICKET_CHANGED, subject="shop", data=data)])
    run(Service.GITHUB, everything=True)
    report = run(Service.GITHUB, everything=True)
    assert report.applied < report.changes
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT title FROM tickets WHERE key = '#1'").fetchall() == [("As it is",)]


def test_rate_limits_and_failures_are_waited_for_within_bounds(
    run: Callable[..., ImportReport], service: FakeService
) -> None:
    github(service, [github_issue(1)], [])
    right = service.routes["/repos/acme/shop/issues"]
    answers = [
        (429, {}, {"Retry-After": "7"}),
        (403, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 100)}),
        (502, b"bad gateway", {}),
    ]
    service.routes["/repos/acme/shop/issues"] = lambda query, found: answers.pop(0) if answers else right(query, found)
    waited: list[float] = []
    assert run(Service.GITHUB, sleep=waited.append).complete
    assert waited[0] == 7
    assert 90 < waited[1] <= 100
    assert len(waited) == 3
    service.routes["/repos/acme/shop/issues"] = lambda query, found: (429, {}, {"Retry-After": "86400"})
    with pytest.raises(ApiError, match="limits requests for the next 86400 s: run the import again after that"):
        run(Service.GITHUB)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"message": "Bad credentials"}, {}), "set PENSTOCK_GITHUB_TOKEN"),
        ((404, {}, {}), "that this token can read"),
        ((301, {}, {"Location": "https://evil.example/"}), "use the project's new name"),
        ((200, b"<html>", {}), "is not JSON"),
        ((200, {"a": 1}, {}), "is not a list of objects"),
        ((200, [], {"Link": '<https://evil.example/steal>; rel="next"'}), "links to another host"),
        ((200, [], {"Link": '</repos/acme/shop/issues?page=1>; rel="next"'}), "links to itself as the next page"),
        ((503, b"", {}), "(5 tries): try again later"),
    ],
)
def test_refused_and_malformed_answers_are_reported_without_the_token(
    run: Callable[..., ImportReport], service: FakeService, answer: Answer, says: str
) -> None:
    service.routes = {"/repos/acme/shop/issues": lambda query, found: answer}
    with pytest.raises(ApiError, match=re.escape(says)) as caught:
        run(Service.GITHUB)
    assert "s3cret" not in str(caught.value)
    assert all("evil" not in request for request in service.requests)


def test_an_endless_answer_is_aborted(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.context.tickets.apis import reader

    monkeypatch.setattr(reader, "MOST_BYTES", 1 << 16)
    service.routes = {"/x": lambda query, found: (200, b"[" + b" " * (1 << 20), {})}
    with Reader(service.address, {}, setting="X") as reading, pytest.raises(ApiError, match="answered with more than"):
        reading.get("/x")


def test_an_item_that_cannot_be_read_is_skipped_with_the_reason(
    run: Callable[..., ImportReport], service: FakeService
) -> None:
    github(service, [github_issue(1), github_issue(2, title=7), github_issue(3)], [])  # type: ignore[arg-type]
    report = run(Service.GITHUB)
    assert report.index.status.total == 3
    assert report.skipped == ("https://github.com/acme/shop/issues/2: issue.title: must be a string, not a number",)


def test_gitlab_issues_merge_requests_and_notes_are_imported(
    run: Callable[..., ImportReport], service: FakeService, database: Database
) -> None:
    issue = {
        "id": 1,
        "iid": 4,
        "title": "Total is wrong",
        "description": "It should be 3.",
        "state": "opened",
        "labels": ["bug"],
        "author": {"id": 1, "username": "ada"},
        "assignees": [{"id": 2, "username": "bob"}],
        "confidential": False,
        "user_notes_count": 2,
        "web_url": "https://gitlab.com/acme/shop/-/issues/4",
        "created_at": STAMP,
        "updated_at": STAMP,
        "closed_at": None,
    }
    secret = {**issue, "iid": 5, "title": "Secret", "confidential": True, "user_notes_count": 0}
    merge = {**issue, "iid": 4, "state": "merged", "title": "Fix it", "description": "Closes #4", "user_notes_count": 0}
    merge |= {"merge_commit_sha": "d" * 40, "source_branch": "fix"}
    notes = [
        {"id": 10, "body": "changed the description", "system": True, "author": {"id": 1, "username": "ada"}},
        {"id": 11, "body": "memcached", "system": False, "author": {"id": 1, "username": "ada"}, "created_at": STAMP},
        {"id": 12, "body": "internal words", "system": False, "internal": True, "author": {"id": 3, "username": "eve"}},
    ]
    at = "/api/v4/projects/acme%2Fshop"
    service.routes = {
        f"{at}/issues": service.pages([issue, secret], 1),
        f"{at}/merge_requests": service.pages([merge]),
        f"{at}/issues/4/notes": service.pages(notes),
    }
    report = run(Service.GITLAB)
    assert (report.pages, report.changes) == (3, 5)
    hits = search_tickets(database, DEFAULT_TEAM, "shop", "memcached secret internal words")
    assert [(hit.key, hit.part, hit.trust, hit.closed_by) for hit in hits] == [
        ("#4", "11", "ticket author", (f"!4 at {'d' * 12}",))
    ]
    assert {header.get("private-token") for header in service.headers} == {"s3cret"}


def test_gitea_issues_and_comments_are_imported(
    run: Callable[..., ImportReport], service: FakeService, keys: Callable[[str], list[str]]
) -> None:
    at = "/api/v1/repos/acme/shop"
    service.routes = {
        f"{at}/issues": service.pages([github_issue(1), github_issue(2)]),
        f"{at}/pulls": service.pages([]),
        f"{at}/issues/comments": service.pages([github_comment(7, 2, "memcached")]),
    }
    assert run(Service.GITEA).changes == 3
    assert keys("memcached") == ["#2"]
    assert {header.get("authorization") for header in service.headers} == {"token s3cret"}


def jira_issue(number: int, comments: int = 0, total: int | None = None) -> dict[str, Any]:
    held = [jira_comment(n) for n in range(comments)]
    return {
        "id": str(number),
        "key": f"SHOP-{number}",
        "self": f"https://acme.atlassian.net/rest/api/2/issue/{number}",
        "fields": {
            "summary": f"Ticket {number}",
            "description": f"words{number}",
            "status": {"name": "Done", "statusCategory": {"key": "done"}},
            "labels": [],
            "reporter": {"accountId": "a1", "displayName": "Ada"},
            "assignee": None,
            "created": "2026-03-01T10:00:00.000+0000",
            "updated": "2026-03-01T10:00:00.000+0000",
            "resolutiondate": "2026-03-01T10:00:00.000+0000",
            "comment": {"comments": held, "total": comments if total is None else total},
        },
    }


def jira_comment(number: int) -> dict[str, Any]:
    who = {"accountId": "b2", "displayName": "Eve"}
    return {
        "id": str(100 + number),
        "body": f"remark{number}",
        "author": who,
        "created": "2026-03-01T10:00:00.000+0000",
    }


@pytest.mark.parametrize("cloud", [True, False])
def test_jira_issues_and_all_their_comments_are_imported(
    run: Callable[..., ImportReport], service: FakeService, keys: Callable[[str], list[str]], cloud: bool
) -> None:
    issues = [jira_issue(1), jira_issue(2, comments=1, total=3), jira_issue(3)]

    def by_token(query: dict[str, str], found: Any) -> Answer:
        start = int(query.get("nextPageToken", "0"))
        more = {"nextPageToken": str(start + 2)} if start + 2 < len(issues) else {"isLast": True}
        return 200, {"issues": issues[start : start + 2], **more}, {}

    def by_offset(query: dict[str, str], found: Any) -> Answer:
        start = int(query.get("startAt", "0"))
        return 200, {"issues": issues[start : start + 2], "startAt": start, "total": len(issues)}, {}

    def comments(query: dict[str, str], found: Any) -> Answer:
        start = int(query["startAt"])
        return 200, {"comments": [jira_comment(n) for n in range(3)][start : start + 2], "total": 3}, {}

    service.routes = {"/rest/api/2/issue/SHOP-2/comment": comments}
    service.routes["/rest/api/2/search/jql" if cloud else "/rest/api/2/search"] = by_token if cloud else by_offset
    report = run(Service.JIRA, "shop", token="ada@example.org:s3cret")
    assert (report.complete, report.pages, report.changes) == (True, 2, 6)
    assert report.index.status.tickets == {"issue closed": 3}
    assert keys("remark2")[0] == "SHOP-2"
    basic = base64.b64encode(b"ada@example.org:s3cret").decode()
    assert service.headers[0]["authorization"] == f"Basic {basic}"
    assert parse_qs(urlsplit(service.requests[0]).query)["jql"] == ['project = "SHOP" ORDER BY created ASC']


def test_a_project_belongs_to_one_source_and_can_be_unlinked(
    run: Callable[..., ImportReport], service: FakeService, database: Database, keys: Callable[[str], list[str]]
) -> None:
    github(service, [github_issue(1)], [])
    run(Service.GITHUB)
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location) VALUES (%s, 'blog', '/srv/blog')", (DEFAULT_TEAM,)
        )
    with pytest.raises(ImportRefused, match="already belongs to source shop"):
        link_project(database, DEFAULT_TEAM, "blog", Service.GITHUB, "acme/shop")
    with pytest.raises(ImportRefused, match="is named owner/name"):
        link_project(database, DEFAULT_TEAM, "blog", Service.GITHUB)
    with pytest.raises(ImportRefused, match="is named by its key"):
        link_project(database, DEFAULT_TEAM, "blog", Service.JIRA, 'SHOP" OR 1=1')
    with pytest.raises(ImportRefused, match="pass the address of yours"):
        link_project(database, DEFAULT_TEAM, "blog", Service.JIRA, "SHOP")
    assert not unlink_project(database, DEFAULT_TEAM, Service.JIRA, "SHOP"), "what was refused is not there"
    assert unlink_project(database, DEFAULT_TEAM, Service.GITHUB, "acme/shop")
    assert keys("words1") == []
    assert not unlink_project(database, DEFAULT_TEAM, Service.GITHUB, "acme/shop")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "acme.example",
        "ftp://h/x",
        "javascript:alert(1)",
        "https://u:s3cret@h",
        "https://h/?t=s3cret",
        "https://h\n",
    ],
)
def test_an_invalid_address_is_refused_and_not_shown(tracker: Tracker, address: str) -> None:
    with pytest.raises(ImportRefused, match="https://HOST") as raised:
        link_project(tracker.database, DEFAULT_TEAM, "shop", Service.JIRA, "SHOP", address)
    assert "s3cret" not in str(raised.value)
    assert not unlink_project(tracker.database, DEFAULT_TEAM, Service.JIRA, "SHOP")


def test_pages_that_shift_while_they_are_read_are_applied_twice_without_an_effect(
    run: Callable[..., ImportReport], service: FakeService
) -> None:
    github(service, [github_issue(1), github_issue(2), github_issue(2), github_issue(3)], [])
    report = run(Service.GITHUB)
    assert report.index.status.tickets["issue open"] == 3


def test_the_time_from_which_the_next_import_reads_lies_before_this_one(
    run: Callable[..., ImportReport], service: FakeService, database: Database
) -> None:
    began = datetime.now(UTC)
    github(service, [github_issue(1)], [])
    run(Service.GITHUB)
    with database.team(DEFAULT_TEAM) as connection:
        [(since, progress)] = connection.execute("SELECT since, progress FROM ticket_projects").fetchall()
    assert began - timedelta(minutes=11) < since < began
    assert progress is None
