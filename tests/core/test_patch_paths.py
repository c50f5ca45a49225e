"""The paths of a diff, as git writes its headers."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.patch_paths import changed_paths, touched_paths

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=9
)


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True, timeout=60
    ).stdout


@pytest.fixture
def work(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("".join(f"line {n}\n" for n in range(30)))
    (tmp_path / "gone").write_text("x\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "A start")
    return tmp_path


def test_git_names_every_kind_of_change(work: Path) -> None:
    (work / "deep").mkdir()
    (work / "a.txt").rename(work / "deep" / "a much longer name.yml")
    (work / "gone").unlink()
    (work / 'ümlaut "quoted"').write_text("y\n")
    (work / "empty").write_text("")
    _git(work, "add", "-A")
    diff = _git(work, "diff", "--cached", "-M")
    assert "rename to" in diff
    moved = "deep/a much longer name.yml"
    assert set(changed_paths(diff)) == {moved, "gone", 'ümlaut "quoted"', "empty"}
    assert set(touched_paths(diff)) == {"a.txt", moved, "gone", 'ümlaut "quoted"', "empty"}


def test_lines_of_a_hunk_are_no_headers(work: Path) -> None:
    (work / "a.txt").write_text("rename from x\nrename to y\n--- a/z\ndiff --git a/q b/q\n")
    diff = _git(work, "diff")
    assert touched_paths(diff) == ("a.txt",)


@given(NAMES.filter(lambda name: name not in (".", "..", ".git")))
def test_a_path_is_read_as_git_wrote_it(name: str) -> None:
    quoted = "".join(
        f"\\{byte:03o}" if byte < 33 or byte > 126 or byte in b'"\\' else chr(byte) for byte in name.encode()
    )
    diff = f'diff --git "a/{quoted}" "b/{quoted}"\nindex 1..2 100644\n@@ -1 +1 @@\n-x\n+y\n'
    assert changed_paths(diff) == (name,)
