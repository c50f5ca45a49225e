"""`penstock tickets` on a real database."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.database import Database
from core.events import DEFAULT_TEAM
from dagster_project.cli import tickets
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from deploy.fake_forge import FakeForge

TOKENS: list[str | None] = []
ISSUE = {
    "number": 5,
    "title": "Total is wrong",
    "body": "It should be 3.",
    "state": "open",
    "user": {"login": "ada", "id": 1},
    "labels": [{"name": "bug"}],
    "html_url": "https://gitea.example/acme/shop/issues/5",
    "created_at": "2026-03-01T10:00:00Z",
    "updated_at": "2026-03-01T10:00:00Z",
}


class _Gitea(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        TOKENS.append(self.headers["Authorization"])
        raw = json.dumps([ISSUE] if "/issues?" in self.path else []).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def gitea() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Gitea)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command on the test's database and returns what it prints as JSON."""

    @contextlib.contextmanager
    def opened() -> Iterator[Database]:
        yield database

    monkeypatch.setattr(tickets, "opened", opened)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_EMBEDDING_MODEL", "hashing")
    monkeypatch.setenv("PENSTOCK_GITEA_TOKEN", "s3cret")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location, repository) VALUES (%s, 'shop', '/srv', 'acme/shop')",
            (DEFAULT_TEAM,),
        )

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["tickets", *arguments, "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_tickets_are_imported_listed_and_found(penstock: Callable[..., Any], gitea: str) -> None:
    imported = penstock("import", "shop", "--from", "gitea", "--address", gitea)
    assert (imported["project"], imported["complete"], imported["tickets"]) == ("acme/shop", True, {"issue open": 1})
    assert set(TOKENS) == {"token s3cret"}
    [listed] = penstock("list", "shop", "--state", "open")
    assert (listed["key"], listed["title"], listed["labels"]) == ("#5", "Total is wrong", ["bug"])
    assert penstock("list", "shop", "--state", "closed") == []
    [hit] = penstock("search", "shop", "wrong total", "-k", "3")
    assert (hit["key"], hit["trust"], hit["url"]) == ("#5", "ticket author", ISSUE["html_url"])
    assert {reason["signal"] for reason in hit["why"]} == {"words", "passage", "vectors hashing-256"}
    assert penstock("status", "shop")["tickets"] == {"issue open": 1}
    assert penstock("unlink", "--from", "gitea", "--project", "acme/shop")["linked"] is False
    assert penstock("list", "shop") == []


def test_a_team_of_linear_is_linked_and_neither_imported_nor_swept(penstock: Callable[..., Any]) -> None:
    linked = penstock("link", "shop", "--from", "linear", "--project", "eng")
    assert (linked["project"], linked["address"]) == ("ENG", "https://api.linear.app")
    with pytest.raises(CommandFailed, match="they arrive by webhooks"):
        penstock("import", "shop", "--from", "linear", "--project", "ENG")
    assert [one["place"] for one in penstock("sweep", "shop")] == ["branch of shop"]
    assert penstock("unlink", "--from", "linear", "--project", "ENG")["linked"] is False


def test_a_link_says_what_the_token_lacks(
    penstock: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeForge(tmp_path / "forge") as forge:
        forge.add_board("SHOP")
        monkeypatch.setenv("PENSTOCK_LINEAR_TOKEN", "lin_api_wrong")
        arguments = ("link", "shop", "--from", "linear", "--project", "SHOP", "--address", forge.url)
        done = CliRunner().invoke(app, ["tickets", *arguments])
    assert done.exit_code == 0, done.output
    assert "warning: results cannot be shown there yet: linear:SHOP: " in done.output
    assert "lin_api_wrong" not in done.output


def test_errors_are_reported_in_one_line(penstock: Callable[..., Any]) -> None:
    with pytest.raises(CommandFailed, match="pass the address of yours, as https://HOST"):
        penstock("import", "shop", "--from", "gitea")
    with pytest.raises(CommandFailed, match="no source 'nothing'"):
        penstock("search", "nothing", "x")
    with pytest.raises(CommandFailed, match="is named by its key"):
        penstock("link", "shop", "--from", "jira")


def test_a_channel_of_slack_is_linked_but_not_imported(penstock: Callable[..., Any]) -> None:
    made = penstock("link", "shop", "--from", "slack", "--project", "C0SHOP")
    assert (made["project"], made["address"]) == ("C0SHOP", "https://slack.com")
    with pytest.raises(CommandFailed, match="are not imported"):
        penstock("import", "shop", "--from", "slack", "--project", "C0SHOP")
    assert penstock("unlink", "--from", "slack", "--project", "C0SHOP")["linked"] is False
