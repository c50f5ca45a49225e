"""The files of a repository by path, for finding declarations and tests: bounded, without links."""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from sandbox.confined_files import read_confined
from sandbox.environments.wanted import EnvironmentRefused

MOST_FILES = 50_000
MOST_BYTES = 24 << 20
_SKIPPED = frozenset({".git", ".hg", "node_modules", "__pycache__", ".venv", ".tox", ".penstock"})


class SourceTree:
    """The files below `root`, without those of version control and of installed packages."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Relative paths, sorted; at most `MOST_FILES`."""
        found: list[str] = []
        stack = [""]
        while stack and len(found) < MOST_FILES:
            at = stack.pop()
            try:
                with os.scandir(self.root / at) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if entry.name not in _SKIPPED:
                                stack.append(f"{at}{entry.name}/")
                        elif entry.is_file(follow_symlinks=False):
                            found.append(at + entry.name)
            except OSError:
                continue
        return tuple(sorted(found[:MOST_FILES]))

    def named(self, name: str) -> Iterator[str]:
        """The paths of all files with this name, those nearest to the root first."""
        found = [path for path in self.paths if path == name or path.endswith(f"/{name}")]
        return iter(sorted(found, key=lambda path: (path.count("/"), path)))

    def exists(self, path: str) -> bool:
        return path in self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.paths)

    def content(self, path: str) -> bytes | None:
        """A file's content; None when there is no such file. Raises `EnvironmentRefused` for one that is too large."""
        try:
            return read_confined(self.root, path, MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, OSError) as error:
            raise EnvironmentRefused(
                f"what {path} declares, which cannot be read: {error}",
                f"Make {path} a regular file of at most {MOST_BYTES >> 20} MiB.",
            ) from error

    def text(self, path: str) -> str | None:
        """A file as text, with replacement characters where it is not UTF-8; None when there is no such file."""
        content = self.content(path)
        return None if content is None else content.decode("utf-8-sig", errors="replace")


def folder_of(path: str) -> str:
    """The folder of a relative path; "" for the root."""
    return path.rpartition("/")[0]
