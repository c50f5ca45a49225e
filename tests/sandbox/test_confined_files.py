import contextlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.confined_files import read_confined, write_confined


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "root"


parts = st.sampled_from(["..", ".", "a", "b", "up", "down", "absolute", "within", "file", "", "/"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(path=st.lists(parts, max_size=7).map("/".join))
def test_no_path_reads_or_writes_outside(root: Path, path: str) -> None:
    (root / "a/b").mkdir(parents=True, exist_ok=True)
    for name, goal in (("up", ".."), ("a/up", "../.."), ("a/down", "b"), ("absolute", "/"), ("within", "/workspace/a")):
        with contextlib.suppress(FileExistsError):
            (root / name).symlink_to(goal)
    for target in (path, f"{path}/secret", f"{path}/made"):
        with contextlib.suppress(ValueError, FileNotFoundError):
            assert b"secret" not in read_confined(root, target, 1000)
        with contextlib.suppress(ValueError):
            write_confined(root, target, b"written")
    assert (root.parent / "secret").read_text() == "secret"
    assert sorted(entry.name for entry in root.parent.iterdir()) == ["root", "secret"]


def test_a_link_is_followed_as_the_sandbox_sees_it(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a/file").write_text("inside")
    (root / "relative").symlink_to("a/../a/file")
    (root / "absolute").symlink_to("/workspace/a/file")
    assert read_confined(root, "relative", 100) == b"inside"
    assert read_confined(root, "absolute", 100) == b"inside"
    write_confined(root, "absolute", b"changed")
    assert (root / "a/file").read_text() == "changed"


def test_a_read_is_bounded_even_when_the_file_has_no_size(root: Path) -> None:
    (root / "file").write_bytes(b"x" * 101)
    assert len(read_confined(root, "file", 101)) == 101
    with pytest.raises(ValueError, match="larger than 100"):
        read_confined(root, "file", 100)


def test_a_fifo_neither_blocks_nor_is_read(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_confined(root, "pipe", 100)
    with pytest.raises(ValueError, match="not a regular file"):
        write_confined(root, "pipe", b"x")


def test_a_refused_write_does_not_empty_the_file(root: Path) -> None:
    (root / "out").symlink_to(root.parent / "secret")
    with pytest.raises(ValueError, match="leads out"):
        write_confined(root, "out", b"")
    assert (root.parent / "secret").read_text() == "secret"


def test_a_file_where_a_folder_is_needed_is_an_error(root: Path) -> None:
    (root / "file").touch()
    with pytest.raises(FileNotFoundError):
        read_confined(root, "file/below", 100)
    with pytest.raises(ValueError, match="a part of its path is a file"):
        write_confined(root, "file/below", b"x")


@pytest.mark.parametrize("swapped", ["folder", "folder/secret"])
def test_a_link_swapped_in_after_the_check_is_not_followed(
    root: Path, swapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "folder").mkdir()
    (root / "folder/secret").write_text("harmless")
    look = os.stat

    def look_then_swap(path: str, *, dir_fd: int, follow_symlinks: bool) -> os.stat_result:
        facts = look(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        if path == Path(swapped).name:
            (root / swapped).rename(root / "aside")
            (root / swapped).symlink_to(root.parent if swapped == "folder" else root.parent / "secret")
        return facts

    monkeypatch.setattr("sandbox.confined_files.os.stat", look_then_swap)
    with pytest.raises((ValueError, FileNotFoundError)):
        read_confined(root, "folder/secret", 100)


def test_links_swapped_in_during_reads_never_lead_out(root: Path) -> None:
    """A hostile process flips a folder and a link to the outside as fast as it can."""
    (root / "real").mkdir()
    (root / "real/secret").write_text("harmless")
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            (root / "x").symlink_to("..")
            (root / "x").rename(root / "flip")
            (root / "y").symlink_to("real")
            (root / "y").rename(root / "flip")

    thread = threading.Thread(target=flip)
    thread.start()
    seen = set()
    try:
        for _ in range(2000):
            try:
                seen.add(read_confined(root, "flip/secret", 100))
            except (ValueError, FileNotFoundError):
                seen.add(b"refused")
    finally:
        stop.set()
        thread.join()
    assert seen <= {b"harmless", b"refused"}
