"""Every call of the GitHub adapter is one that GitHub's published OpenAPI description allows, and the description's own
examples of answers are understood."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.forge.github import GitHubHost
from core.forge.host import Comment, NewPull

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]  # the first run fetches the description

SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"


@dataclass
class Checked:
    """Passes requests on to Prism, without the prefix of Enterprise Server's API, and notes what it finds wrong."""

    prism: str
    requests: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        checked = self

        class Handler(BaseHTTPRequestHandler):
            def do_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                status, headers, content = checked.ask(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", headers.get("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> tuple[int, Any, bytes]:
        where = path.removeprefix("/api/v3")
        self.requests.append(f"{method} {where.partition('?')[0]}")
        # The description knows `application/json` alone, and not the media type that GitHub asks clients to accept.
        kept = {name: value for name, value in headers.items() if name.lower() == "content-type"}
        request = urllib.request.Request(self.prism + where, data=body, method=method, headers=kept)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  the address is ours
                found = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            found = error.code, error.headers, error.read()
            self.violations.append(f"{method} {where}: {error.code} {found[2][:300]!r}")
        for one in json.loads(found[1].get("sl-violations") or "[]"):
            if one["location"][0] == "request":
                self.violations.append(f"{method} {where}: {one['location']} {one['message']}")
        return found

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def checked(prism: Any) -> Iterator[Checked]:
    found = Checked(prism.url)
    yield found
    found.stop()


@pytest.fixture
def host(checked: Checked) -> GitHubHost:
    return GitHubHost(checked.url, "octocat/hello-world", lambda: "token", setting="PENSTOCK_GITHUB_TOKEN")


CALLS: dict[str, tuple[Callable[[GitHubHost], Any], int]] = {
    "login": (lambda host: host.login(), 1),
    "may_write": (lambda host: host.may_write("octocat", "1"), 1),
    "default_branch": (lambda host: host.default_branch(), 1),
    "pulls_of": (lambda host: host.pulls_of("penstock/x"), 2),
    "create_pull": (lambda host: host.create_pull(NewPull("penstock/x", "main", "Fix: it", "Text.", False)), 1),
    "create_draft": (lambda host: host.create_pull(NewPull("penstock/x", "main", "Fix: it", "Text.", True)), 1),
    "comments": (lambda host: list(host.comments("#1347")), 1),
    "create_comment": (lambda host: host.create_comment("#1347", "Text."), 1),
    "edit_comment": (lambda host: host.edit_comment("#1347", Comment("1", "octocat", "", "Old."), "New."), 1),
    "add_labels": (lambda host: host.add_labels("#1347", ("bug", "needs a look")), 1),
    "thread": (lambda host: host.thread("#1347", "10"), 1),
    "reply": (lambda host: host.reply("#1347", "10", "Text."), 1),
    "checks": (lambda host: host.checks(SHA, "main"), 4),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_as_described_and_its_answer_is_understood(checked: Checked, host: GitHubHost, name: str) -> None:
    call, requests = CALLS[name]
    call(host)
    assert checked.violations == []
    assert len(checked.requests) >= requests


def test_every_method_is_tried() -> None:
    public = {name for name in vars(GitHubHost) if not name.startswith("_") and callable(getattr(GitHubHost, name))}
    assert public <= set(CALLS)


def test_a_wrong_request_is_noticed(checked: Checked) -> None:
    checked.ask("POST", "/repos/octocat/hello-world/pulls", {"Content-Type": "application/json"}, b'{"title": 1}')
    assert checked.violations != []
    checked.violations.clear()
    checked.ask("GET", "/repos/octocat/hello-world/nonsense", {}, None)
    assert checked.violations != []
