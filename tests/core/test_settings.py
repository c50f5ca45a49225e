import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import Settings, SettingsError, describe, load_settings


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)


def _write(tmp_path: Path, text: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.toml").write_text(text)


def _row(name: str) -> dict[str, str]:
    return next(row for row in describe(load_settings()) if row["name"] == name)


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, "slots = 7\ngateway_port = 1234\n")
    monkeypatch.setenv("PENSTOCK_GATEWAY_PORT", "4321")
    settings = load_settings()
    assert (settings.slots, settings.gateway_port, settings.dagster_port) == (7, 4321, 3420)
    assert _row("slots")["origin"].startswith("file ")
    assert _row("gateway_port")["origin"] == "environment PENSTOCK_GATEWAY_PORT"
    assert _row("dagster_port")["origin"] == "default"


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_GITHUB_WEBHOOK_SECRET", "hunter2")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://u:hunter2@localhost/x")
    assert "hunter2" not in str(describe(load_settings()))
    assert "hunter2" not in repr(load_settings())


@pytest.mark.parametrize(
    ("name", "value"), [("SLOTS", "many"), ("GATEWAY_PORT", "99999"), ("EVENT_LOG", "rabbit"), ("MAX_BODY_BYTES", "1")]
)
def test_a_wrong_value_names_the_setting_and_its_origin(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PENSTOCK_{name}", value)
    with pytest.raises(SettingsError, match=rf"'{name.lower()}' \(environment PENSTOCK_{name}\)"):
        load_settings()


def test_a_misspelt_setting_in_the_file_is_an_error(tmp_path: Path) -> None:
    _write(tmp_path, "slotz = 3\n")
    with pytest.raises(SettingsError, match="slotz"):
        load_settings()


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "slots = = 3\n")
    with pytest.raises(SettingsError, match=r"settings\.toml is not valid TOML"):
        load_settings()


def test_every_setting_is_documented() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_home_too_deep_for_a_socket_gets_a_private_run_folder_elsewhere(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ("deep" * 30))
    assert len(str(settings.run_folder / "code.sock")) < 100
    assert settings.run_folder.stat().st_mode & 0o077 == 0
    settings.run_folder.rmdir()


def test_a_run_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "h")
    (tmp_path / "h" / "run").mkdir(parents=True)
    (tmp_path / "h" / "run").chmod(0o755)
    with pytest.raises(SettingsError, match="chmod 700"):
        _ = settings.run_folder


def test_a_list_of_folders_in_json_is_refused_with_the_form_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_ALLOWED_ROOTS", '["/src"]')
    with pytest.raises(SettingsError, match=r"allowed_roots.*for example /src:/srv/git"):
        load_settings()
    monkeypatch.setenv("PENSTOCK_ALLOWED_ROOTS", "/src:/srv/git")
    assert load_settings().allowed_roots == (Path("/src"), Path("/srv/git"))


def test_reading_settings_imports_no_database_driver() -> None:
    code = "import sys, core.settings; print([name for name in ('psycopg', 'numpy', 'dagster') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]", "every command reads the settings first"
