import os
import time
from collections.abc import Iterable
from pathlib import Path

from sandbox.disk_usage import DiskWatch, deleted_but_open, measure
from sandbox.protocol import Limit


def nobody() -> Iterable[int]:
    return ()


def test_usage_counts_blocks_entries_and_the_largest_changed_file(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 100_000)
    time.sleep(0.02)
    since = time.time_ns()
    time.sleep(0.02)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/new").write_bytes(b"x" * 50_000)
    usage = measure(tmp_path, since)
    assert usage.size >= 150_000
    assert (usage.largest, usage.entries, usage.hidden) == (50_000, 3, False)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/usr")
    assert measure(tmp_path).entries == 1


def test_folders_too_deep_to_walk_are_reported(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(210):
        os.mkdir("d" * 50, dir_fd=here)
        inner = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert measure(tmp_path).hidden


def test_deleted_files_that_are_kept_open_are_found(tmp_path: Path) -> None:
    with (tmp_path / "gone").open("wb") as file:
        file.write(b"x" * 1_000_000)
        file.flush()
        (tmp_path / "gone").unlink()
        assert deleted_but_open(tmp_path, [os.getpid()]) >= 1_000_000
        assert deleted_but_open(tmp_path, []) == 0


def test_growth_above_the_limit_is_detected(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path, 0)
    assert watch.check(4 << 20, 1 << 30, 0, nobody) is None
    for number in range(8):
        (tmp_path / str(number)).write_bytes(os.urandom(1 << 20))
    assert watch.check(4 << 20, 1 << 30, 0, nobody, last=True) is Limit.DISK


def test_a_file_at_its_limit_is_detected(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path, 0)
    (tmp_path / "big").write_bytes(b"x" * (1 << 20))
    assert watch.check(1 << 30, 1 << 20, 0, nobody, last=True) is Limit.FILE_SIZE
    assert watch.check(1 << 30, (1 << 20) + 1, 0, nobody, last=True) is None
