"""Fixtures that write git histories quickly: each commit is one `git fast-import`."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from core.embedding import Embedder, open_embedder


class History:
    """A bare repository with the branch `main`. `files` are those of its head."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, bytes] = {}
        self.commits = 0
        path.mkdir(parents=True)
        self.git("init", "-q", "--bare", "-b", "main")

    def git(self, *arguments: str, data: bytes | None = None) -> str:
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments], input=data, capture_output=True, env=environment, check=True
        )
        return done.stdout.decode().strip()

    def commit(
        self,
        changes: Mapping[str, bytes | str | None],
        message: str = "change",
        *,
        branch: str = "main",
        mode: str = "100644",
    ) -> str:
        """Writes, or with None removes, files; returns the commit's id."""
        stream = (
            f"commit refs/heads/{branch}\ncommitter A <a@example.org> {1_700_000_000 + self.commits} +0000\n".encode()
        )
        stream += b"data %d\n%s\n" % (len(message.encode()), message.encode())
        exists = subprocess.run(
            ["git", "-C", str(self.path), "rev-parse", "-q", "--verify", f"refs/heads/{branch}"],
            capture_output=True,
            check=False,
        )
        if exists.returncode == 0:
            stream += f"from refs/heads/{branch}^0\n".encode()
        for path, content in changes.items():
            quoted = (
                b'"' + os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
            )
            if content is None:
                stream += b"D " + quoted + b"\n"
                self.files.pop(path, None)
            else:
                raw = content.encode() if isinstance(content, str) else content
                stream += b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), quoted, len(raw), raw)
                self.files[path] = raw
        self.git("fast-import", "--quiet", "--force", data=stream + b"\n")
        self.commits += 1
        return self.git("rev-parse", f"refs/heads/{branch}")


@pytest.fixture
def new_history() -> Callable[[Path], History]:
    """Creates an empty history at a path."""
    return History


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "repositories" / "repository.git")


@pytest.fixture(scope="session")
def hashing() -> Embedder:
    return open_embedder("hashing")


@pytest.fixture(scope="session")
def wordllama() -> Embedder:
    return open_embedder("wordllama")
