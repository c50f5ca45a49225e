"""The files of a repository as finders read them: bounded, never outside the repository, each read noted."""

import ast
import configparser
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.confined_files import read_confined
from sandbox.environments.wanted import EnvironmentRefused

_MOST_BYTES = 1 << 20
_MOST_LOCK_BYTES = 24 << 20


class Files:
    """Reads the declaration files of the repository at `root`; `read` holds the paths of those that exist."""

    def __init__(self, root: Path, memory: Path | None = None) -> None:
        """`memory` is a folder in which what lock files say is stored by their hash: parsing one takes long."""
        self.root = root
        self.memory = memory
        self.read: dict[str, None] = {}
        self._parsed: dict[str, dict[str, Any]] = {}

    def text(self, path: str, *, lock: bool = False) -> str | None:
        """A file's text; None when there is no such file. Raises `EnvironmentRefused` for one that is too large or
        leads out of the repository."""
        most = _MOST_LOCK_BYTES if lock else _MOST_BYTES
        try:
            content = read_confined(self.root, path, most)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, OSError) as error:
            raise EnvironmentRefused(f"what {path} declares, which cannot be read: {error}",
                                     f"Make {path} a regular file of at most {most >> 20} MiB.") from error  # fmt: skip
        self.read[path] = None
        return content.decode("utf-8-sig", errors="replace")

    def toml(self, path: str, *, lock: bool = False) -> dict[str, Any]:
        """A TOML file's content; empty when there is none. Raises `EnvironmentRefused` when it is not TOML."""
        if path in self._parsed:
            return self._parsed[path]
        text = self.text(path, lock=lock)
        try:
            self._parsed[path] = tomllib.loads(text) if text else {}
            return self._parsed[path]
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise EnvironmentRefused(f"what {path} declares, which is not valid TOML: {error}",
                                     f"Repair {path}.") from error  # fmt: skip

    def ini(self, path: str) -> dict[str, dict[str, str]]:
        """An ini file's sections; empty when there is none or it cannot be parsed."""
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(self.text(path) or "")
        except configparser.Error:
            return {}
        return {name: dict(parser[name]) for name in parser.sections()}

    def tree(self, path: str) -> ast.Module | None:
        """A Python file's syntax tree; None when there is none or it cannot be parsed."""
        text = self.text(path)
        try:
            return ast.parse(text) if text else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def names(self, folder: str = "") -> Iterator[str]:
        """Sorted paths of the files directly in a folder, at most 2,000."""
        inside = self.root / folder
        if inside.is_dir() and not inside.is_symlink():
            for entry in sorted(inside.iterdir())[:2000]:
                if entry.is_file():
                    yield f"{folder}/{entry.name}" if folder else entry.name


def table(value: object, *keys: str) -> dict[str, Any]:
    """The table at these keys; empty for anything else."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def texts(value: object) -> list[str]:
    """The strings of a list, at most 2,000."""
    return [item for item in value[:2000] if isinstance(item, str)] if isinstance(value, list) else []
