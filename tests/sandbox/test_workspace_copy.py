import os
import socket
from pathlib import Path

import pytest

from sandbox.protocol import WorkspaceRefused
from sandbox.workspace_copy import copy_workspace


def test_a_copy_has_the_same_files_folders_and_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "large.bin").write_bytes(os.urandom(300_000))
    (source / "a" / "empty").touch()
    (source / "link").symlink_to("a/b")
    (source / "dangling").symlink_to("/nowhere")
    total = copy_workspace(source, tmp_path / "copy", 1 << 20)
    assert (tmp_path / "copy/a/b/large.bin").read_bytes() == (source / "a/b/large.bin").read_bytes()
    assert (tmp_path / "copy/a/empty").read_bytes() == b""
    assert (tmp_path / "copy/link").readlink() == Path("a/b")
    assert (tmp_path / "copy/dangling").readlink() == Path("/nowhere")
    assert (total.size, total.entries) == (300_000, 6)


def test_a_copy_does_not_share_content_with_the_original(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("before")
    os.link(source / "file", source / "second-name")
    copy_workspace(source, tmp_path / "copy", 1 << 20)
    (tmp_path / "copy/file").write_text("after")
    assert (source / "file").read_text() == "before"
    assert (tmp_path / "copy/second-name").read_text() == "before"


def test_a_copy_drops_set_user_id_and_keeps_the_rest_of_the_mode(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "program").touch()
    (source / "program").chmod(0o6751)
    copy_workspace(source, tmp_path / "copy", 1 << 20)
    assert (tmp_path / "copy/program").stat().st_mode & 0o7777 == 0o751


def test_a_read_only_folder_is_writable_in_the_copy(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "shut").mkdir(parents=True)
    (source / "shut" / "file").write_text("x")
    (source / "shut").chmod(0o500)
    copy_workspace(source, tmp_path / "copy", 1 << 20)
    assert (tmp_path / "copy/shut").stat().st_mode & 0o777 == 0o700


def test_a_socket_is_refused_by_name(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "run/db.sock"))
        with pytest.raises(WorkspaceRefused, match=r"run/db\.sock"):
            copy_workspace(source, tmp_path / "copy", 1 << 20)


def test_a_workspace_above_its_limit_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        (source / str(number)).write_bytes(b"x" * 400)
    copy_workspace(source, tmp_path / "fits", 1200)
    with pytest.raises(WorkspaceRefused, match="1,199 bytes"):
        copy_workspace(source, tmp_path / "copy", 1199)


def test_a_workspace_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "/".join(["d"] * 130)).mkdir(parents=True)
    with pytest.raises(WorkspaceRefused, match="deeper than 128"):
        copy_workspace(source, tmp_path / "copy", 1 << 20)


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceRefused, match="not a folder"):
        copy_workspace(tmp_path / "file", tmp_path / "copy", 1 << 20)
