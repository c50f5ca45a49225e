"""`penstock doctor` and `penstock up` say whether commits can be signed."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from core.settings import load_settings
from core.signing_keys import signing_key
from core.teams import DEFAULT_TEAM
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from tests.signing import new_key

TEAM = "11111111-2222-3333-4444-555555555555"


WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sandbox.backends", lambda: (SimpleNamespace(name="one", available=lambda: None),))
    folder = tmp_path / "home"
    (folder / "secrets").mkdir(mode=0o700, parents=True)
    monkeypatch.setenv("PENSTOCK_HOME", str(folder))
    return folder


def doctor() -> tuple[int, list[tuple[str, str]], str]:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    checks = json.loads(done.stdout)["checks"]
    found = [(check["state"], check["detail"]) for check in checks if check["name"] == "commit signing"]
    return done.exit_code, found, done.stdout


def test_doctor_signs_with_each_key(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor()[:2] == (0, [])
    key = new_key(tmp_path)
    monkeypatch.setenv("PENSTOCK_SIGNING_KEY", str(key.path))
    code, [(state, detail)], shown = doctor()
    assert (code, state) == (0, "ok")
    assert detail.startswith(f"{key.path} signs, as ssh-ed25519 AAAA")
    secret = key.path.read_text().splitlines()[1]
    assert secret not in shown
    new_key(home / "secrets", name="team").path.rename(home / "secrets" / f"signing-key-{TEAM}")
    assert [state for state, _ in doctor()[1]] == ["ok", "ok"]


def test_doctor_and_the_start_name_the_setting_of_a_key_that_cannot_sign(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(tmp_path, passphrase="secret-words")
    monkeypatch.setenv("PENSTOCK_SIGNING_KEY", str(key.path))
    code, [(state, detail)], _ = doctor()
    assert (code, state) == (1, "missing")
    assert detail.startswith(f"PENSTOCK_SIGNING_KEY: the key in {key.path} has a passphrase")
    done = CliRunner().invoke(app, ["up", "--check"])
    assert isinstance(done.exception, CommandFailed)
    assert "commits cannot be signed: PENSTOCK_SIGNING_KEY: " in str(done.exception)
    assert not (home / "postgres").exists()


def test_solve_refuses_such_a_key_before_it_begins(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SIGNING_KEY", str(new_key(tmp_path, passphrase="secret-words").path))
    repository = tmp_path / "repository"
    for arguments in (
        ["init", "-q", str(repository)],
        ["-C", str(repository), *WHO, "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *arguments], check=True)
    (tmp_path / "issue.md").write_text("It fails\n")
    done = CliRunner().invoke(app, ["solve", "--repo", str(repository), "--issue", str(tmp_path / "issue.md")])
    assert isinstance(done.exception, CommandFailed)
    assert "commits cannot be signed: PENSTOCK_SIGNING_KEY: " in str(done.exception)
    assert not (home / "solve").exists()


def test_no_team_signs_with_the_key_of_another(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from uuid import UUID

    settings = load_settings(signing_key=tmp_path / "mine")
    found = signing_key(settings, DEFAULT_TEAM)
    assert found is not None
    assert found.path == tmp_path / "mine"
    assert signing_key(settings, UUID(TEAM)) is None
    (home / "secrets" / f"signing-key-{TEAM}").touch()
    theirs = signing_key(settings, UUID(TEAM))
    assert theirs is not None
    assert theirs.path == home / "secrets" / f"signing-key-{TEAM}"
    assert signing_key(load_settings(), DEFAULT_TEAM) is None
