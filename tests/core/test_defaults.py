"""Promoted defaults survive a kill at any instant, and changes of several processes come one after another."""

import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.defaults import FILE, Change, Defaults, DefaultsError, change_defaults, promoted_values, read_defaults
from core.settings import Settings, given_explicitly, load_settings

AT = datetime(2026, 3, 1, tzinfo=UTC)


def _change(present: Defaults, **values: Any) -> Change:
    given: dict[str, Any] = {"version": present.version + 1, "kind": "promotion", "at": AT, "by": "ada", "reason": "r"}
    return Change(**{**given, "before": {}, "after": {"chat_steps": str(10 + present.version)}, **values})


def _killed(home: Path, at: str) -> None:
    def die(*_: object, **__: object) -> None:
        os._exit(9)

    target, name = {"sync": (os, "fsync"), "replace": (Path, "replace")}[at]
    setattr(target, name, die)
    change_defaults(home, _change)


def _several(home: Path, times: int) -> None:
    for _ in range(times):
        change_defaults(home, _change)


@pytest.mark.parametrize("at", ["sync", "replace"])
def test_a_kill_leaves_the_previous_defaults_and_the_next_change_works(tmp_path: Path, at: str) -> None:
    change_defaults(tmp_path, _change)
    before = (tmp_path / FILE).read_bytes()
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(tmp_path, at))
    process.start()
    process.join(300)
    assert process.exitcode == 9
    assert (tmp_path / FILE).read_bytes() == before
    assert change_defaults(tmp_path, _change).version == 2
    assert promoted_values(tmp_path) == {"chat_steps": "11"}


def test_changes_of_several_processes_come_one_after_another(tmp_path: Path) -> None:
    processes = [
        multiprocessing.get_context("fork").Process(target=_several, args=(tmp_path, 10)) for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [change.version for change in read_defaults(tmp_path).history] == list(range(1, 41))


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DefaultsError, match="change 7 does not follow version 0"):
        change_defaults(tmp_path, lambda present: _change(present, version=7))
    with pytest.raises(DefaultsError, match="database_url cannot be promoted"):
        change_defaults(tmp_path, lambda present: _change(present, after={"database_url": "x"}))
    assert not (tmp_path / FILE).exists()
    assert change_defaults(tmp_path, lambda _: None) == Defaults()


def test_settings_take_precedence_in_the_order_environment_file_promoted_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)
    assert (load_settings().chat_steps, given_explicitly("chat_steps")) == (40, None)
    change_defaults(tmp_path, _change)
    assert (load_settings().chat_steps, given_explicitly("chat_steps")) == (10, None)
    assert Settings(home=tmp_path / "other").chat_steps == 40
    (tmp_path / "settings.toml").write_text("chat_steps = 20\n")
    assert (load_settings().chat_steps, given_explicitly("chat_steps")) == (20, f"file {tmp_path / 'settings.toml'}")
    monkeypatch.setenv("PENSTOCK_CHAT_STEPS", "30")
    assert (load_settings().chat_steps, given_explicitly("chat_steps")) == (30, "environment PENSTOCK_CHAT_STEPS")
