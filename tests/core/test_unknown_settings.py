"""A variable that looks like a setting and is none is named, with the setting that was meant."""

import pytest

from core.settings import SettingsError, load_settings
from core.unknown_settings import known_names, unknown_variables


def test_a_misspelt_variable_is_named_with_the_nearest_setting() -> None:
    assert unknown_variables({"PENSTOCK_GATEWY_PORT": "1", "PENSTOCK_SECRET_OF_MINE": "hunter2", "PATH": "x"}) == [
        "PENSTOCK_GATEWY_PORT is set, and nothing reads it; did you mean PENSTOCK_GATEWAY_PORT?",
        "PENSTOCK_SECRET_OF_MINE is set, and nothing reads it: see the settings in `penstock doctor`",
    ]


def test_everything_that_is_read_is_known() -> None:
    known = dict.fromkeys([f"PENSTOCK_{name}" for name in known_names()], "")
    assert unknown_variables(known) == []
    assert {"HOME", "CONFIG", "GATEWAY_PORT", "GITHUB_TOKEN", "GITHUB_TOKEN_FILE", "DATABASE_URL_FILE"} <= known_names()
    assert "GATEWAY_PORT_FILE" not in known_names(), "only secrets are read from files"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gatewy_port = 1\n", r"unknown setting 'gatewy_port'; did you mean gateway_port\?"),
        ("nothing_like_it = 1\n", "unknown setting 'nothing_like_it'; `penstock doctor`"),
        ("gateway_port = = 1\n", r"is not valid TOML: .*line 1.* Correct that line"),
    ],
)
def test_a_wrong_settings_file_says_what_to_correct(
    text: str, says: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        load_settings()


def test_a_settings_file_that_is_a_folder_is_not_ignored(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    (tmp_path / "settings.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()
