"""`penstock team webhook`, and `penstock send --team`."""

import contextlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from core.access.teams import add_team
from core.database import Database
from core.signatures import sign_github
from core.team_webhooks import read_secrets
from dagster_project.cli import task, team, team_webhook
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed

Run = Callable[..., Any]


@pytest.fixture
def acme(database: Database) -> uuid.UUID:
    with database.system() as connection:
        return add_team(connection, "acme").id


@pytest.fixture
def penstock(database: Database, acme: uuid.UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command and returns its output, parsed with `--json`. Raises what it fails with."""
    for module in (task, team, team_webhook):
        monkeypatch.setattr(module, "opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))

    def run(*arguments: str, given: str = "", code: int = 0) -> Any:
        result = CliRunner().invoke(app, arguments, input=given)
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if "--json" in arguments else result.output

    return run


def actions(database: Database, team_id: uuid.UUID) -> list[str]:
    with database.team(team_id) as connection:
        rows = connection.execute("SELECT action, subject FROM audit_log ORDER BY id").fetchall()
    return [f"{action} {subject}" for action, subject in rows]


def test_a_webhook_is_made_rotated_ended_and_removed(
    penstock: Run, database: Database, acme: uuid.UUID, tmp_path: Path
) -> None:
    made = penstock("team", "webhook", "Acme", "github", "--json")
    assert made["address"] == "/webhooks/acme/github"
    assert read_secrets(tmp_path / "secrets", acme, "github") == (made["secret"],)
    assert penstock("team", "webhook", "acme", "github", "--json")["secret"] is None
    second = penstock("team", "webhook", "acme", "github", "--rotate", "--json")["secret"]
    assert read_secrets(tmp_path / "secrets", acme, "github") == (second, made["secret"])
    shown = penstock("team", "webhook", "acme")
    assert "/webhooks/acme/github" in shown
    assert second not in shown
    assert "only the newest secret" in penstock("team", "webhook", "acme", "github", "--end-former")
    assert read_secrets(tmp_path / "secrets", acme, "github") == (second,)
    assert "nothing to end" in penstock("team", "webhook", "acme", "github", "--end-former")
    given = "lin_wh_0123456789abcdef"
    assert penstock("team", "webhook", "acme", "linear", "--given", "--json", given=f"{given}\n")["secret"] == given
    assert "removed" in penstock("team", "webhook", "acme", "github", "--remove")
    assert [one["sender"] for one in penstock("team", "webhook", "acme", "--json")] == ["linear"]
    assert actions(database, acme) == [
        "webhook.add github",
        "webhook.rotate github",
        "webhook.end-former github",
        "webhook.add linear",
        "webhook.remove github",
    ]


def test_wrong_usage_changes_nothing(penstock: Run, acme: uuid.UUID, tmp_path: Path) -> None:
    penstock("team", "webhook", "acme", "github", "--rotate", "--remove", code=2)
    penstock("team", "webhook", "acme", "--rotate", code=2)
    for arguments, said in (
        (("nobody", "github"), "no team is named"),
        (("default", "github"), "the default team's webhooks are at"),
        (("acme", "slack"), "sends no webhooks to teams"),
        (("acme", "linear"), "Linear makes the secret itself"),
        (("acme", "linear", "--rotate"), "--given"),
        (("acme", "github", "--given"), "16 to 500 visible"),
    ):
        with pytest.raises(CommandFailed, match=said):
            penstock("team", "webhook", *arguments)
    assert read_secrets(tmp_path / "secrets", acme, "github") == ()


def test_with_its_team_its_webhooks_are_removed(penstock: Run, acme: uuid.UUID, tmp_path: Path) -> None:
    penstock("team", "webhook", "acme", "github")
    penstock("team", "remove", "acme", "--yes")
    assert not (tmp_path / "secrets" / "webhooks" / str(acme)).exists()


def test_send_signs_for_a_team(penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, dict[str, str]]] = []

    def post(url: str, *, content: bytes, headers: dict[str, str], timeout: float) -> httpx.Response:
        sent.append((url, headers))
        return httpx.Response(202, json={"status": "accepted"})

    monkeypatch.setattr(httpx, "post", post)
    (tmp_path / "p.json").write_text("{}")
    command = ("send", str(tmp_path / "p.json"), "--team", "acme", "--url", "http://127.0.0.1:1")
    with pytest.raises(CommandFailed, match="penstock team webhook acme github"):
        penstock(*command)
    secret = penstock("team", "webhook", "acme", "github", "--json")["secret"]
    penstock(*command)
    [(url, headers)] = sent
    assert url == "http://127.0.0.1:1/webhooks/acme/github"
    assert headers["X-Hub-Signature-256"] == sign_github(secret, b"{}")
