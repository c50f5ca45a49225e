"""The types that come with Penstock, as services: what each does, refuses and keeps to itself."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings
from objects.lifecycle import history, state_of
from objects.model import Reply
from objects.node import ThreadedNode
from objects.outside import World
from tests.smtp_server import SmtpServer

Do = Callable[..., Any]


@pytest.fixture
def mail() -> Iterator[SmtpServer]:
    server = SmtpServer()
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def do(make_node: Callable[..., ThreadedNode], call: Callable[..., Reply], home: Path, mail: SmtpServer) -> Do:
    """Calls a method with an argument; returns the answer, or the code of a refusal."""
    settings = Settings(
        home=home, mail_server=f"smtp://127.0.0.1:{mail.port}", mail_from="p@example.org", mail_to=("ops@example.org",)
    )  # type: ignore[arg-type]
    node = make_node(outside=partial(World, settings))

    def make(where: str, method: str, argument: Any = None, **more: Any) -> Any:
        reply = call(node, where, method, json.dumps(argument if argument is not None else {}), **more)
        body = json.loads(reply.body)
        return body if reply.ok else (body["code"] if reply.code == "refused" else f"{reply.code}: {body['error']}")

    make.reply = partial(call, node)  # type: ignore[attr-defined]
    return make


def test_authentication_checks_passwords_sessions_and_keys(do: Do, database: Database) -> None:
    login = {"user": "ada", "password": "correct horse"}
    assert do("authentication/shop", "register", login) is None
    assert do("authentication/shop", "register", login) == "taken"
    token = do("authentication/shop", "login", login)["token"]
    assert do("authentication/shop", "check", {"token": token}) == {"user": "ada", "kind": "session", "scopes": []}
    key = do("authentication/shop", "create_key", {"user": "ada", "name": "ci", "scopes": ["read"]})["key"]
    assert do("authentication/shop", "check", {"token": key})["scopes"] == ["read"]
    assert do("authentication/shop", "revoke_key", {"user": "ada", "name": "ci"}) is None
    assert do("authentication/shop", "check", {"token": key}) == "unknown"
    do("authentication/shop", "change_password", {**login, "new": "battery staple"})
    assert do("authentication/shop", "check", {"token": token}) == "unknown"
    for _ in range(5):
        assert do("authentication/shop", "login", login)["token"] == ""
    assert do("authentication/shop", "login", {**login, "password": "battery staple"}) == "wait"
    assert do("authentication/shop", "login", {"user": "nobody", "password": "whatever1"})["token"] == ""


def test_no_secret_of_authentication_is_stored_or_shown(do: Do, database: Database) -> None:
    login = {"user": "ada", "password": "correct horse"}
    do("authentication/shop", "register", login)
    first = do.reply("authentication/shop", "login", json.dumps(login), id="login-1")  # type: ignore[attr-defined]
    again = do.reply("authentication/shop", "login", json.dumps(login), id="login-1")  # type: ignore[attr-defined]
    assert again.repeated and again.body == first.body
    other = json.dumps({**login, "password": "another one"})
    assert do.reply("authentication/shop", "login", other, id="login-1").code == "call-id"  # type: ignore[attr-defined]
    token = json.loads(first.body)["token"]
    with database.system() as connection:
        kept = " ".join(
            str(connection.execute(f"SELECT * FROM {table}").fetchall())  # type: ignore[arg-type]  # noqa: S608
            for table in ("objects", "object_calls", "object_history", "event_log")
        )
    assert token not in kept and "correct horse" not in kept and "login-1" not in kept
    with database.team(DEFAULT_TEAM) as connection:
        assert state_of(connection, "authentication", "shop") is None
        assert {state for *_, state in history(connection, "authentication", "shop")} == {None}


def test_a_user_has_a_profile_and_preferences_until_erased(do: Do) -> None:
    assert do("user/ada", "get") == "no-such-user"
    do("user/ada", "create", {"profile": {"name": "Ada", "mail": "ada@example.org"}})
    assert do("user/ada", "create", {"profile": {}}) == "exists"
    do("user/ada", "set_preferences", {"theme": "dark", "rows": 50})
    do("user/ada", "set_preferences", {"theme": None})
    assert do("user/ada", "set_notifications", {"quiet_from": "25:00"}) == "time"
    found = do("user/ada", "get")
    assert (found["profile"]["name"], found["preferences"]) == ("Ada", {"rows": 50})
    assert do("user/ada", "erase") is None
    assert do("user/ada", "get").startswith("terminated")


def test_storage_keeps_documents_by_version_and_files_by_content(do: Do, database: Database) -> None:
    assert do("storage/b", "put", {"name": "a", "document": {"x": 1}}) == {"version": 1}
    assert do("storage/b", "put", {"name": "a", "document": 2, "version": 0}) == "version"
    assert do("storage/b", "put", {"name": "a", "document": 2, "version": 1}) == {"version": 2}
    content = base64.b64encode(b"hello" * 100).decode()
    for name in ("one", "two"):
        do("storage/b", "put_file", {"name": name, "content": content, "media_type": "text/plain"})
    assert do("storage/b", "get_file", {"name": "two"})["content"] == content
    assert do("storage/b", "usage")["bytes"] == 501
    assert [one["name"] for one in do("storage/b", "list", {"prefix": "t"})] == ["two"]

    def blobs() -> Any:
        with database.system() as connection:
            return connection.execute("SELECT count(*) FROM object_blobs").fetchone()

    do("storage/b", "remove", {"name": "one"})
    assert blobs() == (1,)
    do("storage/b", "remove", {"name": "two"})
    assert blobs() == (0,)
    do("storage/b", "set_quota", {"bytes": 100})
    assert do("storage/b", "put_file", {"name": "x", "content": content}) == "quota"
    assert do("storage/b", "put_file", {"name": "x", "content": "***"}) == "content"


class _Service(BaseHTTPRequestHandler):
    seen: list[Any] = []  # noqa: RUF012
    status = 200

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"path": "%s"}' % self.path.encode())

    do_GET = do_POST = _answer

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service(home: Path) -> Iterator[tuple[str, type[_Service]]]:
    handler = type("Handler", (_Service,), {"seen": [], "status": 200})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (home / "object-hosts.toml").write_text(
        '[hosts."127.0.0.1"]\nprivate = true\nheader = "Authorization"\nprefix = "Bearer "\nvalue = "s3cret"\n'
    )
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_the_api_gateway_adds_credentials_caches_and_breaks(
    do: Do, service: tuple[str, type[_Service]], database: Database
) -> None:
    base, handler = service
    assert do("api-gateway/x", "fetch", {"path": "/a"}) == "not-configured"
    do("api-gateway/x", "configure", {"base": base, "cache_seconds": 60, "failures_allowed": 2, "rate": 100})
    forged = {"Authorization": "Bearer mine", "Host": "evil", "X-Own": "yes"}
    answer = do("api-gateway/x", "fetch", {"path": "/a", "headers": forged})
    assert (answer["status"], answer["body"], answer["cached"]) == (200, '{"path": "/a"}', False)
    assert do("api-gateway/x", "fetch", {"path": "/a", "headers": forged})["cached"] is True
    [(_, _, headers, _)] = handler.seen
    assert headers["Authorization"] == "Bearer s3cret" and headers["X-Own"] == "yes" and "evil" not in str(headers)
    with database.system() as connection:
        assert "s3cret" not in str(connection.execute("SELECT state FROM objects").fetchall())
    handler.status = 500
    for path in ("/b", "/c"):
        assert do("api-gateway/x", "fetch", {"path": path})["status"] == 500
    assert do("api-gateway/x", "fetch", {"path": "/d"}) == "open"
    assert do("api-gateway/x", "fetch", {"path": "/a", "headers": forged})["cached"] is True
    assert len(handler.seen) == 3
    do("api-gateway/y", "configure", {"base": "https://example.org"})
    assert do("api-gateway/y", "fetch", {"path": "/"}) == "host"
    do("api-gateway/x", "configure", {"base": base, "rate": 0.01, "burst": 1})
    assert do("api-gateway/x", "fetch", {"path": "/../etc"}) == "path"
    assert do("api-gateway/x", "fetch", {"path": "/e"})["status"] == 500
    assert do("api-gateway/x", "fetch", {"path": "/f"}) == "rate"


def test_pages_are_escaped_and_hostile_templates_end_nothing(do: Do) -> None:
    do("register/r", "write", {"value": "<script>"})
    do("renderer/p", "set_template", {"name": "t", "template": "<p>{{ state.value }} {{ data.x | safe }}</p>"})
    page = do("renderer/p", "render", {"name": "t", "data": {"x": "<b>"}, "type": "register", "key": "r"})
    assert page["html"] == "<p>&lt;script&gt; &lt;b&gt;</p>"
    for template in (
        "{% autoescape false %}{{ data }}{% endautoescape %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% include 'x' %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ):
        do("renderer/p", "set_template", {"name": "h", "template": template})
        assert do("renderer/p", "render", {"name": "h", "data": "<"}) in ("template", "error"), template
    assert do("renderer/p", "render", {"name": "t", "type": "authentication", "key": "shop"}) == "hidden"
    assert do("renderer/p", "render", {"name": "t", "data": {"x": 1}})["html"] == "<p> 1</p>"


def test_analytics_answers_questions_over_all_its_events(do: Do) -> None:
    events = [{"name": "visit", "user": f"u{n % 50}", "value": n, "at": 1_000_000 + n} for n in range(1000)]
    events2 = [{"name": "buy", "user": f"u{n}", "at": 1_001_500 + n} for n in range(20)]
    assert do("analytics/shop", "track_many", {"events": events}) == {"tracked": 1000}
    do("analytics/shop", "track_many", {"events": events2})
    found = do("analytics/shop", "counts")
    counts = {one["group"]: (one["events"], one["users"]) for one in found}
    assert counts == {"visit": (1000, 50), "buy": (20, 20)}
    found = do("analytics/shop", "percentiles", {"name": "visit", "of": [0.5]})
    assert found["percentiles"]["0.5"] == pytest.approx(499.5)
    funnel = do("analytics/shop", "funnel", {"steps": ["visit", "buy"], "within": 5000})
    assert [one["users"] for one in funnel] == [50, 20]
    assert do("analytics/shop", "counts", {"by": "day", "since": 1_001_000})[0]["events"] == 20
    do("analytics/shop", "forget")
    assert do("analytics/shop", "counts") == []


def test_notifications_leave_by_mail_and_webhook_once_with_quiet_hours_and_digests(
    do: Do, mail: SmtpServer, service: tuple[str, type[_Service]]
) -> None:
    base, handler = service
    assert do("notification/ada", "notify", {"title": "Hi"}) == "not-configured"
    do("notification/ada", "configure", {"mail": "ada@example.org", "webhook": f"{base}/hook", "muted": ["noise"]})
    assert do("notification/ada", "notify", {"title": "Deploy <ok>", "text": "all good", "dedupe": "d"}) == {
        "outcome": "sending"
    }
    assert do("notification/ada", "notify", {"title": "Deploy", "dedupe": "d"}) == {"outcome": "duplicate"}
    assert do("notification/ada", "notify", {"title": "x", "topic": "noise"}) == {"outcome": "muted"}
    _until(lambda: do("notification/ada", "status")["sent"] == 2)
    [received] = mail.received
    assert received.message["Subject"] == "Deploy <ok>" and received.receivers == ["ada@example.org"]
    [(_, path, headers, body)] = handler.seen
    assert path == "/hook" and json.loads(body)["title"] == "Deploy <ok>" and headers["Idempotency-Key"]
    now = time.gmtime()
    quiet = {"quiet_from": f"{now.tm_hour:02}:00", "quiet_to": f"{(now.tm_hour + 2) % 24:02}:00", "webhook": None}
    do("notification/ada", "configure", quiet)
    assert do("notification/ada", "notify", {"title": "later"}) == {"outcome": "waiting"}
    assert do("notification/ada", "notify", {"title": "now", "urgent": True}) == {"outcome": "sending"}
    do("notification/ada", "configure", {"quiet_from": "", "quiet_to": "", "digest_seconds": 1})
    _until(lambda: len(mail.received) == 2)
    for title in ("one", "two"):
        assert do("notification/bob", "configure", {"mail": "bob@example.org", "digest_seconds": 1}) is None
        assert do("notification/bob", "notify", {"title": title}) == {"outcome": "waiting"}
    _until(lambda: len(mail.received) == 3)
    assert mail.received[2].message["Subject"] == "2 notifications"


def _until(holds: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
