import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.scratch import Scratch, remove_tree


def test_a_tree_deeper_than_pythons_recursion_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    here = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d" * 20, dir_fd=here)
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_removing_a_tree_that_does_not_exist_does_nothing(tmp_path: Path) -> None:
    remove_tree(tmp_path / "none")


def test_a_tree_that_cannot_be_removed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    done = subprocess.CompletedProcess([], 1, b"", b"rm: device busy")
    monkeypatch.setattr("shutil.rmtree", lambda folder: (_ for _ in ()).throw(OSError("busy")))
    monkeypatch.setattr("subprocess.run", lambda *_, **__: done)
    with pytest.raises(OSError, match="device busy"):
        remove_tree(tmp_path / "tree")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_tree_in_which_something_is_mounted_is_removed(tmp_path: Path) -> None:
    for name in ("a place", "state"):
        place = tmp_path / "tree" / name
        place.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True, timeout=60)
    (tmp_path / "tree" / "namespace").touch()
    mounted = ["mount", "--bind", "/proc/self/ns/net", str(tmp_path / "tree" / "namespace")]
    subprocess.run(mounted, check=True, timeout=60)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def test_a_session_that_leaves_something_behind_has_done_its_work_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scratch = Scratch(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("sandbox.scratch.remove_tree", lambda folder: (_ for _ in ()).throw(OSError("busy")))
        scratch.remove()
    assert "busy" in caplog.text
    another = [sys.executable, "-c", f"from pathlib import Path; from sandbox.scratch import Scratch\n"
               f"Scratch(Path({str(tmp_path)!r})).remove()"]  # fmt: skip
    subprocess.run(another, check=True, timeout=600)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_private_and_may_be_removed_twice(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    assert scratch.folder.stat().st_mode & 0o777 == 0o700
    scratch.remove()
    scratch.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_living_process_is_not_swept(tmp_path: Path) -> None:
    mine = Scratch(tmp_path)
    code = f"from pathlib import Path; from sandbox.scratch import Scratch; Scratch(Path({str(tmp_path)!r})).remove()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
    assert list(tmp_path.iterdir()) == [mine.folder]
    mine.remove()


def test_what_a_killed_process_left_behind_is_swept(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from sandbox.scratch import Scratch\n"
        f"Scratch(Path({str(tmp_path)!r})); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=600)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    mine = Scratch(tmp_path)
    assert list(tmp_path.iterdir()) == [mine.folder]
    mine.remove()
