"""What keeps a home folder from holding a platform is one sentence with what to do."""

import errno
import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import home_checks
from core.home_checks import UnusableHome, look, require


def test_a_folder_of_a_disk_is_fine_and_nothing_stays_in_it(tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    require(home, database=True)
    assert [check.name for check in look(home, database=True)] == ["home", "free space", "file locks", "Unix sockets"]
    assert [check.name for check in look(home, database=False)] == ["home", "free space"]
    assert list(home.iterdir()) == []


def test_a_long_path_does_not_count_as_a_file_system_without_sockets(tmp_path: Path) -> None:
    require(tmp_path / ("x" * 200) / ("y" * 100), database=True)


def refuse(number: int) -> Callable[..., Any]:
    def act(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return act


@pytest.mark.parametrize(
    ("module", "name", "number", "says"),
    [
        (fcntl, "flock", errno.ENOLCK, "has no file locks (No locks available)"),
        (fcntl, "lockf", errno.EOPNOTSUPP, "has no file locks (Operation not supported)"),
        (socket, "socket", errno.EPERM, "has no Unix sockets (Operation not permitted)"),
    ],
)
def test_a_file_system_without_locks_or_sockets_is_named(
    module: Any, name: str, number: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, refuse(number))
    with pytest.raises(UnusableHome) as refused:
        require(tmp_path, database=True)
    assert says in str(refused.value)
    assert str(refused.value).endswith(": set PENSTOCK_HOME to a folder on a local disk")
    require(tmp_path, database=False)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EROFS, "it is read-only. Make it writable"),
        (errno.EACCES, "this user may not write there. Run Penstock as the user who owns it"),
        (errno.ENOSPC, "there is no room left"),
    ],
)
def test_a_folder_that_cannot_be_written_to_says_why(
    number: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home_checks.tempfile, "TemporaryFile", refuse(number))
    with pytest.raises(UnusableHome, match=says):
        require(tmp_path, database=True)


def test_a_part_of_the_path_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(UnusableHome, match="a file has its name"):
        require(tmp_path / "home", database=True)
    with pytest.raises(UnusableHome, match="a part of its path is a file"):
        require(tmp_path / "home" / "x", database=True)


def test_little_space_refuses_a_new_database_but_neither_an_old_nor_a_running_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(megabytes: int) -> None:
        facts = SimpleNamespace(f_bavail=megabytes, f_frsize=1 << 20)
        monkeypatch.setattr(home_checks.os, "statvfs", lambda _: facts)

    free(100)
    with pytest.raises(
        UnusableHome, match=r"there are only 100 MB free .* Penstock's database needs 160 MB. Free some"
    ):
        require(tmp_path, database=True)
    require(tmp_path, database=False)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    require(tmp_path, database=True)
    free(20)
    with pytest.raises(UnusableHome, match="needs 32 MB"):
        require(tmp_path, database=True)
    (tmp_path / "postgres" / "postmaster.pid").write_text("1\n")
    require(tmp_path, database=True)
    monkeypatch.setattr(home_checks.tempfile, "TemporaryFile", refuse(errno.ENOSPC))
    free(0)
    require(tmp_path, database=True)
