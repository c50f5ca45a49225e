"""Secrets of the settings from files."""

import os
from pathlib import Path

import pytest

from core.secret_files import MOST_BYTES
from core.settings import SettingsError, describe, load_settings
from dagster_project.runtime import Runtime


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)


def _use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN_FILE", str(path))


@pytest.mark.parametrize(
    ("content", "secret"), [(b"hunter2", "hunter2"), (b"hunter2\n", "hunter2"), (b" a\n\n", " a\n"), (b"a\r\n", "a")]
)
def test_a_secret_is_read_from_its_file_without_one_line_break(
    content: bytes, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kubernetes mounts a link to a link.
    (tmp_path / "real").write_bytes(content)
    (tmp_path / "token").symlink_to("real")
    _use(tmp_path / "token", monkeypatch)
    settings = load_settings()
    assert settings.github_token is not None and settings.github_token.get_secret_value() == secret
    [row] = [row for row in describe(settings) if row["name"] == "github_token"]
    assert row["value"] == "********"
    assert row["origin"] == f"file {tmp_path / 'token'} (PENSTOCK_GITHUB_TOKEN_FILE)"


def test_a_file_takes_precedence_over_the_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.toml").write_text('github_token = "old"\n')
    (tmp_path / "token").write_text("new\n")
    _use(tmp_path / "token", monkeypatch)
    token = load_settings().github_token
    assert token is not None and token.get_secret_value() == "new"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "not text"),
        (b"x" * (MOST_BYTES + 1), "more than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_with_its_variable(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    _use(path, monkeypatch)
    with pytest.raises(SettingsError, match=rf"PENSTOCK_GITHUB_TOKEN_FILE: {path} .*{said}"):
        load_settings()


def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        _use(path, monkeypatch)
        with pytest.raises(SettingsError, match="is not a file"):
            load_settings()


def test_a_variable_and_its_file_are_not_both_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("hunter2")
    _use(tmp_path / "token", monkeypatch)
    monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN", "other")
    with pytest.raises(SettingsError, match="PENSTOCK_GITHUB_TOKEN is set too") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_a_file_of_a_wrong_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("mysql://user:hunter2@host/x")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(SettingsError, match="PENSTOCK_DATABASE_URL_FILE") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_a_worker_process_gets_the_address_and_not_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        (tmp_path / name).write_text("postgresql://localhost/x")
        monkeypatch.setenv(f"PENSTOCK_{name}_FILE", str(tmp_path / name))
    url = "postgresql://localhost/worker"
    for name, value in Runtime(load_settings(), url, url, url, embedded=False).environment().items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.database_url is not None and settings.database_url.get_secret_value() == url
    assert settings.database_owner_url is not None, "still from its file"
