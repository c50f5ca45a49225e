"""A work tree for tests of git."""

from pathlib import Path

import pytest

from tests.core.git_cases import git_in


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work tree with two commits on `main`."""
    folder = tmp_path / "work"
    (folder / "pkg").mkdir(parents=True)
    git = git_in(folder)
    git("init", "-q", "-b", "main")
    (folder / "pkg" / "a.py").write_text("def a():\n    return 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (folder / "pkg" / "b.py").write_text("b = 2\n")
    git("add", ".")
    git("commit", "-q", "-m", "second: adds b\n\nbody")
    return folder
