"""`penstock doctor --production`: each setting that would hurt is found, with a remedy, and a sound one is not."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from core.settings import Settings
from dagster_project.cli.app import app
from dagster_project.operations.production import Facts, Finding, State, gather, judge
from dagster_project.operations.record import last_backup, note_backup

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SOUND = Facts(last_backup=NOW - timedelta(days=1), now=NOW)
SETTINGS: dict[str, Any] = {
    "database_url": "postgresql://penstock:secret-word@db.example.org/penstock?sslmode=verify-full",
    "database_owner_url": "postgresql://penstock_admin:secret-word@db.example.org/penstock?sslmode=verify-full",
    "sandbox": "gvisor",
    "callback_url": "https://example.org/hook",
    "callback_secret": "whsec_" + "QUJD" * 8,
    "metrics_token": "m" * 20,
    "github_webhook_secret": "g" * 32,
    "event_log": "kafka",
    "kafka_bootstrap": "a.example.org:9092,b.example.org:9092",
    "kafka_security": "sasl_ssl",
    "kafka_replication": 3,
}


def _judged(facts: Facts = SOUND, **changed: Any) -> dict[str, Finding]:
    found = judge(Settings(**{**SETTINGS, **changed}), facts)
    assert len({one.name for one in found}) == len(found)
    return {one.name: one for one in found}


def test_sound_settings_have_no_finding() -> None:
    assert [one for one in _judged().values() if one.state != State.OK] == []


@pytest.mark.parametrize(
    ("changed", "name", "state"),
    [
        ({"database_url": None}, "database", State.HURTS),
        ({"database_url": "postgresql://p@db.example.org/penstock"}, "database connection", State.HURTS),
        ({"database_url": "postgresql://p@db.example.org/x?sslmode=prefer"}, "database connection", State.HURTS),
        ({"database_url": "postgresql://p@127.0.0.1,db.example.org/x"}, "database connection", State.HURTS),
        ({"database_owner_url": SETTINGS["database_url"]}, "database roles", State.HURTS),
        ({"database_owner_url": None}, "database roles", State.DEGRADED),
        ({"gateway_host": "0.0.0.0"}, "gateway", State.HURTS),  # noqa: S104
        ({"gateway_host": "::"}, "gateway", State.HURTS),
        ({"dagster_host": "10.0.0.1"}, "dagster", State.HURTS),
        ({"model_proxy_host": "proxy.example.org"}, "model proxy", State.HURTS),
        ({"github_webhook_secret": "short"}, "webhook secrets", State.HURTS),
        ({"github_webhook_secret": "g" * 32 + ",short"}, "webhook secrets", State.HURTS),
        ({"slack_token": "xoxb-1"}, "slack secret", State.HURTS),
        ({"callback_url": None, "callback_secret": None}, "notices", State.DEGRADED),
        ({"metrics_token": None}, "metrics token", State.DEGRADED),
        ({"sandbox": "bubblewrap"}, "sandbox", State.HURTS),
        ({"sandbox": "auto"}, "sandbox", State.DEGRADED),
        ({"sandbox": "kubernetes", "kubernetes_runtime_class": ""}, "sandbox", State.HURTS),
        ({"kafka_replication": 1}, "kafka replication", State.HURTS),
        ({"kafka_replication": 2}, "kafka replication", State.DEGRADED),
        ({"kafka_security": "plaintext"}, "kafka connection", State.HURTS),
        ({"who_may_start": "anyone"}, "who may start", State.DEGRADED),
        ({"most_waiting": 0}, "limits", State.DEGRADED),
        ({"package_index": "http://packages.example.org/simple"}, "package indexes", State.HURTS),
        ({"publishing": False}, "publishing", State.DEGRADED),
    ],
)
def test_a_setting_that_would_hurt_is_found_with_its_remedy(changed: dict[str, Any], name: str, state: State) -> None:
    found = _judged(**changed)
    assert found[name].state == state and found[name].remedy
    rest = {one.name for one in found.values() if one.state != State.OK} - {name}
    assert rest <= ({"database roles"} if "database_url" in changed else set())
    assert "secret-word" not in repr(found)


@pytest.mark.parametrize(
    ("changed", "name", "state"),
    [
        ({"unread": ("PENSTOCK_SLOT is set, and nothing reads it",)}, "unread settings", State.HURTS),
        ({"clock": 5}, "clock", State.HURTS),
        ({"clock": -1}, "clock", State.DEGRADED),
        ({"memory_bounded": False}, "sandbox memory", State.HURTS),
        ({"root": True}, "user", State.DEGRADED),
        ({"last_backup": None}, "backup", State.HURTS),
        ({"last_backup": NOW - timedelta(days=7, seconds=1)}, "backup", State.HURTS),
        ({"open_files": (Path("/x"),)}, "secret files", State.HURTS),
        ({"generated": ("jira",)}, "webhook secrets", State.DEGRADED),
    ],
)
def test_a_fact_that_would_hurt_is_found(changed: dict[str, Any], name: str, state: State) -> None:
    found = _judged(replace(SOUND, **changed))
    assert [(one.name, one.state) for one in found.values() if one.state != State.OK] == [(name, state)]
    assert found[name].remedy


def test_what_a_cluster_provides_is_taken_into_account() -> None:
    found = _judged(replace(SOUND, in_cluster=True, root=True), gateway_host="0.0.0.0")  # noqa: S104
    assert (found["gateway"].state, found["user"].state) == (State.DEGRADED, State.OK)
    assert _judged(replace(SOUND, last_backup=None), backup_days=0)["backup"].state == State.OK
    assert _judged(replace(SOUND, gvisor=False), sandbox="auto")["sandbox"].state == State.HURTS
    assert _judged(replace(SOUND, memory_bounded=False), sandbox="kubernetes")["sandbox memory"].state == State.OK


def test_the_machine_is_asked_for_open_files_and_generated_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    (tmp_path / "secrets").mkdir()
    for name, mode in (("api-token", 0o600), ("github-webhook-secret", 0o640)):
        (tmp_path / "secrets" / name).write_text("x" * 32)
        (tmp_path / "secrets" / name).chmod(mode)
    (tmp_path / "settings.toml").write_text('gitea_token = "abc"\n')
    (tmp_path / "settings.toml").chmod(0o644)
    found = gather(Settings(home=tmp_path), {"PENSTOCK_SLOT": "3"})
    assert found.open_files == (tmp_path / "secrets" / "github-webhook-secret", tmp_path / "settings.toml")
    assert found.generated == ("github",)
    assert len(found.unread) == 1 and "PENSTOCK_SLOTS" in found.unread[0]
    (tmp_path / "settings.toml").write_text("slots = 3\n")
    assert len(gather(Settings(home=tmp_path), {}).open_files) == 1


def test_the_last_backup_is_remembered(tmp_path: Path) -> None:
    assert last_backup(tmp_path) is None
    note_backup(tmp_path, NOW, tmp_path / "b", "00")
    assert last_backup(tmp_path) == NOW
    (tmp_path / "last-backup.json").write_text('{"at": "yesterday"}')
    assert last_backup(tmp_path) is None


def test_the_command_fails_if_something_would_hurt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setattr("dagster_project.operations.production.gather", lambda settings, environment: SOUND)
    done = CliRunner().invoke(app, ["doctor", "--production", "--json"])
    said = json.loads(done.stdout)
    assert (done.exit_code, said["ready"]) == (1, False)
    assert said["checks"][0] == {
        "name": "database",
        "state": "hurts",
        "detail": said["checks"][0]["detail"],
        "remedy": said["checks"][0]["remedy"],
    }
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"PENSTOCK_{name.upper()}", str(value))
    done = CliRunner().invoke(app, ["doctor", "--production"])
    assert done.exit_code == 0 and "nothing found that would hurt" in done.stdout
    assert "secret-word" not in done.stdout and SecretStr.__name__ not in done.stdout
