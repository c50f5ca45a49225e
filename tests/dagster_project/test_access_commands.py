"""`penstock team`, `user`, `token` and `audit`, and the option `--team`, on a real database."""

import contextlib
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from core.access.links import use_link
from core.access.sessions import check_access
from core.access.teams import add_team
from core.access.tokens import check_token
from core.database import Database
from core.events import DEFAULT_TEAM
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed

Run = Callable[..., Any]
GROUPS = {"rules", "task", "index", "tickets", "dead-letters", "user", "token", "object"}


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command, and returns its output: parsed, with `--json`. Raises what it fails with."""
    for name, module in list(sys.modules.items()):
        if name.startswith("dagster_project.cli.") and hasattr(module, "opened"):
            monkeypatch.setattr(module, "opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.delenv("PENSTOCK_TEAM", raising=False)

    def run(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if "--json" in arguments else result.output

    return run


@pytest.fixture
def acme(database: Database) -> uuid.UUID:
    with database.system() as connection:
        return add_team(connection, "acme").id


def _task(database: Database, team: uuid.UUID, title: str) -> str:
    identity = uuid.uuid4()
    with database.team(team) as connection:
        connection.execute(
            "INSERT INTO tasks (team_id, id, event_id, source, title) VALUES (%s, %s, %s, 'shop', %s)",
            (team, identity, str(identity), title),
        )
    return str(identity)


def test_a_team_is_added_listed_shown_and_removed(penstock: Run) -> None:
    assert penstock("team", "add", "acme", "--json")["name"] == "acme"
    assert [team["name"] for team in penstock("team", "list", "--json")] == ["acme", "default"]
    penstock("user", "add", "ada@example.org", "--role", "admin", "--team", "acme")
    shown = penstock("team", "show", "acme", "--json")
    assert [(user["name"], user["role"]) for user in shown["users"]] == [("ada@example.org", "admin")]
    with pytest.raises(CommandFailed, match=r"its users \(1\) and tokens \(0\): confirm with --yes"):
        penstock("team", "remove", "acme")
    assert penstock("team", "remove", "acme", "--yes", "--json")["removed"] == "acme"
    assert [team["name"] for team in penstock("team", "list", "--json")] == ["default"]


def test_what_cannot_be_done_fails_and_wrong_usage_is_told_apart(
    penstock: Run, acme: uuid.UUID, database: Database
) -> None:
    _task(database, acme, "open")
    for arguments, said in (
        (("team", "add", "ACME"), "already"),
        (("team", "show", "nowhere"), "no team is named 'nowhere'"),
        (("team", "remove", "acme", "--yes"), "1 open task"),
        (("user", "role", "ada", "viewer"), "no user 'ada'"),
        (("token", "revoke", "ci"), "no token 'ci'"),
        (("token", "create", "ci", "--user", "ada"), "no user 'ada'"),
        (("task", "list", "--team", "nowhere"), "no team is named 'nowhere'"),
    ):
        with pytest.raises(CommandFailed, match=said):
            penstock(*arguments)
    for wrong in (
        ("team", "add", "a/b"),
        ("team", "add", "x" * 64),
        ("user", "add", "ada", "--role", "owner"),
        ("user", "add", "x" * 201),
        ("token", "create", "ci", "--expires", "soon"),
        ("token", "create", "ci", "--expires", "2001-01-01"),
        ("audit", "--since", "yesterday"),
        ("task", "list", "--team", "a b"),
    ):
        assert "Invalid value" in penstock(*wrong, code=2)
    assert "--expires" in penstock("token", "create", "ci", "--expires", "soon", code=2)


def test_a_token_is_shown_once_and_works_until_it_is_revoked(penstock: Run, database: Database) -> None:
    penstock("user", "add", "ada", "--role", "operator")
    made = penstock("token", "create", "ci", "--user", "ada", "--expires", "90d", "--json")
    assert (made["role"], made["user"], made["state"]) == ("operator", "ada", "valid")
    with database.system() as connection:
        holder = check_token(connection, made["token"])
        assert holder is not None and holder.team_id == DEFAULT_TEAM
    listed = penstock("token", "list", "--json")
    assert [one["id"] for one in listed] == [made["id"]] and "token" not in listed[0] and listed[0]["last_used_at"]
    assert penstock("token", "revoke", made["id"][:8], "--json")["state"] == "revoked"
    assert penstock("token", "list", "--json") == []
    assert [one["state"] for one in penstock("token", "list", "--all", "--json")] == ["revoked"]
    with database.system() as connection:
        assert check_token(connection, made["token"]) is None


def test_standard_output_of_a_new_token_is_the_token(penstock: Run, database: Database, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["token", "create", "ci"])
    assert result.exit_code == 0
    assert result.stdout.startswith("pst_") and result.stdout.count("\n") == 1
    assert "shown this once" in result.stderr


def test_data_commands_act_for_the_named_team_or_that_of_the_settings(
    penstock: Run, acme: uuid.UUID, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = _task(database, DEFAULT_TEAM, "ours"), _task(database, acme, "theirs")
    commands: list[tuple[str, ...]] = [("task", "list"), ("index", "status"), ("dead-letters", "list"), ("ledger",)]
    for command in commands:
        penstock(*command, "--team", "acme", "--json")
    assert [task["id"] for task in penstock("task", "list", "--json")] == [ours]
    assert [task["id"] for task in penstock("task", "list", "--team", "Acme", "--json")] == [theirs]
    with pytest.raises(CommandFailed, match="no task begins with"):
        penstock("task", "cancel", theirs[:8])
    monkeypatch.setenv("PENSTOCK_TEAM", "acme")
    assert [task["id"] for task in penstock("task", "list", "--json")] == [theirs]
    penstock("task", "cancel", theirs[:8])
    assert [task["state"] for task in penstock("task", "list", "--team", "default", "--json")] == ["queued"]
    monkeypatch.setenv("PENSTOCK_TEAM", "a/b")
    assert "PENSTOCK_TEAM" in penstock("task", "list", code=2)


ABOUT_A_TEAM = [
    "task list",
    "task show 0000",
    "task merged",
    "task timeline 0000",
    "task watch 0000",
    "task answer 0000 x",
    "task approve 0000",
    "task cancel 0000",
    "task retry 0000",
    "index add x /nowhere --no-refresh",
    "index forge x",
    "index rename x --repository a/b",
    "index refresh x",
    "index status",
    "index remove x --yes",
    "index add-organisation acme --forge github",
    "index organisations",
    "index remove-organisation acme",
    "rules try opened",
    "search x y",
    "context x y",
    "tickets import x --from github",
    "tickets link x --from github",
    "tickets unlink --from github --project a/b",
    "tickets search x y",
    "tickets list x",
    "tickets status x",
    "tickets sweep x",
    "dead-letters list",
    "dead-letters show x",
    "dead-letters replay x",
    "ledger",
    "user add x",
    "user list",
    "user role x viewer",
    "user remove x",
    "token create x",
    "token list",
    "token revoke x",
    "research x --corpus y",
    "object types",
    "object list",
    "object show register/x",
    "object call register/x read",
    "object history register/x",
    "object rollback register/x 1",
    "object terminate register/x",
    "object revive register/x",
    "object retry register/x",
    "object submit x README.md --manifest pyproject.toml",
    "object write x y",
    "object update x --back",
    "audit",
    "open --print",
]


@pytest.mark.parametrize("command", ABOUT_A_TEAM)
def test_every_command_about_data_of_a_team_acts_for_the_named_one(command: str, penstock: Run) -> None:
    with pytest.raises(CommandFailed, match="no team is named 'nowhere'"):
        penstock(*command.split(), "--team", "nowhere")


def test_no_command_about_data_of_a_team_is_forgotten() -> None:
    def having_team(command: Any, name: str) -> set[str]:
        inside = getattr(command, "commands", {})
        own = {name.strip()} if any(one.name == "team" for one in command.params) else set()
        return own.union(*(having_team(one, f"{name} {word}") for word, one in inside.items()))

    found = having_team(typer.main.get_command(app), "") - {"eval harvest", "send"}
    named = {" ".join(command.split()[: 2 if command.split()[0] in GROUPS else 1]) for command in ABOUT_A_TEAM}
    assert found == named


def test_a_source_belongs_to_the_named_team(penstock: Run, acme: uuid.UUID, database: Database, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    import subprocess

    subprocess.run(["git", "init", "-q", str(tmp_path / "shop")], check=True)
    penstock("index", "add", "shop", str(tmp_path / "shop"), "--no-refresh", "--team", "acme", "--json")
    assert penstock("index", "status", "--json") == []
    assert [one["source"] for one in penstock("index", "status", "--team", "acme", "--json")] == ["shop"]
    for command in (("search", "shop", "x"), ("tickets", "list", "shop"), ("context", "shop", "x")):
        with pytest.raises(CommandFailed, match="shop"):
            penstock(*command)
    assert penstock("tickets", "list", "shop", "--team", "acme", "--json") == []
    penstock("index", "rename", "shop", "--repository", "acme/shop", "--team", "acme")
    penstock("index", "remove", "shop", "--yes", "--team", "acme")
    entries = penstock("audit", "--team", "acme", "--json")
    assert [(e["action"], e["subject"].split(":")[0]) for e in reversed(entries)] == [
        ("source.add", "shop"),
        ("source.rename", "shop"),
        ("source.remove", "shop"),
    ]
    assert penstock("audit", "--json") == []


def test_commands_are_on_record_with_their_user_whatever_the_environment_says(
    penstock: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")
    task = _task(database, DEFAULT_TEAM, "t")
    penstock("user", "add", "ada")
    token = penstock("token", "create", "ci", "--json")["token"]
    penstock("task", "cancel", task)
    with pytest.raises(CommandFailed, match="waits for approval"):
        penstock("task", "approve", task)
    with pytest.raises(CommandFailed, match="no such token"):
        penstock("token", "revoke", f"{token}x")
    entries = penstock("audit", "--json")
    assert [(e["action"], e["subject"], e["outcome"]) for e in reversed(entries)] == [
        ("user.add", "ada as viewer", "done"),
        ("token.create", "ci", "done"),
        ("task.cancel", task, "done"),
        ("task.approve", task, "failed"),
        ("token.revoke", "pst_…", "failed"),
    ]
    assert {e["actor_kind"] for e in entries} == {"cli"} and "somebody-else" not in str(entries)
    assert token not in str(entries)
    assert penstock("audit", "--since", "1h", "--limit", "2", "--json") == entries[:2]
    assert penstock("audit", "--since", "2999-01-01", "--json") == []
    assert "task.cancel" in penstock("audit")


def test_open_makes_a_link_that_signs_in_once_and_never_allows_more_than_its_user(
    penstock: Run, database: Database, acme: uuid.UUID
) -> None:
    penstock("user", "add", "ada", "--role", "viewer", "--team", "acme")
    made = penstock("open", "--user", "ada", "--team", "acme", "--print", "--json", "--address", "https://p.example/")
    assert made["link"].startswith("https://p.example/web/sign-in?code=psl_")
    code = made["link"].partition("code=")[2]
    with database.system() as connection:
        issued = use_link(connection, code)
        assert issued is not None and (issued.person, issued.team_id) == ("ada", acme)
        held = check_access(connection, issued.access)
        assert held is not None and held.role == "viewer"
        assert use_link(connection, code) is None
    penstock("open", "--user", "ada", "--role", "admin", "--team", "acme", "--print", code=2)
    for address in ("ftp://x", "x", "https://", "https://x?y"):
        penstock("open", "--print", "--address", address, code=2)
    own = penstock("open", "--print", "--json")
    assert own["role"] == "operator"
    [entry] = [one for one in penstock("audit", "--json") if one["action"] == "session.link"]
    assert (entry["actor_kind"], entry["subject"]) == ("cli", own["person"]) and "psl_" not in str(entry)
